package pqv.onnx;


import java.util.Arrays;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** Classes and logits of bitmaps, with onnxruntime's own library and the op library. */
@RunWith(RobolectricTestRunner.class)
public class ClassifierTest {
  private static void check(String name, PqvOptions options) throws Exception {
    float[] expected = Samples.floats(name + ".raw");
    int classes = expected.length / Samples.IMAGES;
    try (PqvClassifier classifier =
        PqvClassifier.fromFile(Samples.file(name + ".onnx"), options)) {
      for (int i = 0; i < Samples.IMAGES; ++i) {
        float[] one = Arrays.copyOfRange(expected, i * classes, (i + 1) * classes);
        Samples.assertSameBits(name + ": " + i, one, classifier.logits(Samples.bitmap("" + i)));
      }
    }
  }

  @Test
  public void logitsOfFloatInput() throws Exception {
    check("float", PqvOptions.DEFAULT);
  }

  @Test
  public void logitsOfPixels() throws Exception {
    check("uint8", PqvOptions.DEFAULT.withThreads(2));
    check("uint8", PqvOptions.DEFAULT.withOps(PqvOptions.Ops.REQUIRED));
  }

  @Test
  public void logitsOfWholeImages() throws Exception {
    check("image", PqvOptions.DEFAULT);
  }

  @Test
  public void logitsWithoutTheOps() throws Exception {
    check("float", PqvOptions.DEFAULT.withOps(PqvOptions.Ops.UNUSED));
  }
}
