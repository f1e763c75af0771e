package pqv.onnx;

import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** Vectors of bitmaps. */
@RunWith(RobolectricTestRunner.class)
public class EmbedderTest {
  private static void check(PqvEmbedder embedder, String name) throws Exception {
    Samples.assertPythons(name, Samples.IMAGES, embedder::embed);
    Samples.assertPythons(name, 5, bitmap -> embedder.embedAsync(bitmap).get());
  }

  @Test
  public void floats() throws Exception {
    try (PqvEmbedder embedder = PqvEmbedder.fromFile(Samples.file("embedding.onnx"))) {
      check(embedder, "embedding");
    }
  }

  @Test
  public void codes() throws Exception {
    try (PqvEmbedder embedder = PqvEmbedder.fromAsset(Samples.app(), "codes.onnx")) {
      check(embedder, "codes");
    }
  }
}
