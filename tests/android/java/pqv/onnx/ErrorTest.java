package pqv.onnx;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import android.graphics.Bitmap;
import java.util.concurrent.ExecutionException;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** What is wrong with models and images, each in one sentence. */
@RunWith(RobolectricTestRunner.class)
public class ErrorTest {
  private static final PqvOptions REQUIRED =
      PqvOptions.DEFAULT.withOps(PqvOptions.Ops.REQUIRED);

  private static void open(String name, PqvOptions options) throws Exception {
    PqvClassifier.fromFile(Samples.file(name), options).close();
  }

  private static void refuses(String name, String words) {
    Samples.assertRefused(name + ": " + words, () -> open(name, PqvOptions.DEFAULT));
  }

  @Test
  public void models() throws Exception {
    refuses("none.onnx", "there is no such file");
    refuses("broken.onnx", "");
    refuses("no labels.onnx", "has no labels: pqv export --labels, or PqvOptions.withLabels");
    refuses("few labels.onnx", "there are 2 labels for 5 classes");
    refuses("not ours.onnx", "has no op of the domain pqv: it is not a file of pqv export");
    refuses(
        "other type.onnx",
        "the model's input is FLOAT [-1, 3, 16, 16], its metadata say UINT8 [1, 3, 16, 16]");
    refuses("other size.onnx", "the model's input is FLOAT [-1, 3, 16, 16], its metadata say");
    refuses("embedding.onnx", "gives embedding, expected logits");
    Samples.assertRefused(
        "float.onnx: gives logits, expected embedding or unit_embedding",
        () -> PqvEmbedder.fromFile(Samples.file("float.onnx")));
  }

  @Test
  public void aModelOfANewerDomain() throws Exception {
    String words = "the model wants version 2 of the op domain pqv, the app's library has version ";
    refuses("newer.onnx", words);
    open("newer.onnx", PqvOptions.DEFAULT.withOps(PqvOptions.Ops.UNUSED));
  }

  @Test
  public void aModelInStandardOps() throws Exception {
    try (Model model =
        Model.open(
            "standard.onnx",
            (environment, options) ->
                environment.createSession(Samples.file("standard.onnx").getPath(), options),
            PqvOptions.DEFAULT)) {
      assertEquals("the model is in standard ops", model.kernels.getReason());
    }
    Samples.assertRefused(
        "the model is in standard ops, which the op library does not run",
        () -> open("standard.onnx", REQUIRED));
  }

  @Test
  public void versionsOfOnnxruntime() throws Exception {
    Samples.assertRefused(
        "onnxruntime 1.17.3 is too old: 1.18 or newer is needed",
        () -> Model.checkVersion("1.17.3"));
    Model.checkVersion("1.18.0");
    Model.checkVersion("2.0.0");
  }

  @Test
  public void imagesThatAreNone() throws Exception {
    try (PqvClassifier classifier = PqvClassifier.fromFile(Samples.file("float.onnx"))) {
      for (String name : new String[] {"empty.png", "cut.png", "text.png", "none.png"}) {
        Bitmap bitmap = Samples.plain(name);
        Samples.assertRefused(
            "there is no image: Android could not decode it", () -> classifier.logits(bitmap));
        Throwable later =
            assertThrows(
                ExecutionException.class, () -> classifier.classifyAsync(bitmap, 1).get());
        assertEquals(PqvException.class, later.getCause().getClass());
      }
      Bitmap recycled = Samples.plain("0.png");
      recycled.recycle();
      Samples.assertRefused("the bitmap is recycled", () -> classifier.logits(recycled));
      assertEquals(5, classifier.logits(Samples.plain("0.png")).length);
    }
  }

  @Test
  public void numbersOfThreads() {
    assertThrows(IllegalArgumentException.class, () -> PqvOptions.DEFAULT.withThreads(-1));
  }
}
