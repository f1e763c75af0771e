package pqv.onnx;

import java.util.Arrays;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** Vectors of bitmaps. */
@RunWith(RobolectricTestRunner.class)
public class EmbedderTest {
  private static void check(PqvEmbedder embedder, String name) throws Exception {
    float[] expected = Samples.floats(name + ".raw");
    int size = expected.length / Samples.IMAGES;
    for (int i = 0; i < Samples.IMAGES; ++i) {
      float[] one = Arrays.copyOfRange(expected, i * size, (i + 1) * size);
      Samples.assertSameBits(name + ": " + i, one, embedder.embed(Samples.bitmap("" + i)));
      if (i < 5) {
        float[] later = embedder.embedAsync(Samples.bitmap("" + i)).get();
        Samples.assertSameBits(name + ": " + i, one, later);
      }
    }
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
