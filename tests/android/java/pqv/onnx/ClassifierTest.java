package pqv.onnx;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import android.graphics.Matrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** Classes and logits of bitmaps, with onnxruntime's own library and the op library. */
@RunWith(RobolectricTestRunner.class)
public class ClassifierTest {
  private static PqvClassifier open(String name, PqvOptions options) throws PqvException {
    return PqvClassifier.fromFile(Samples.file(name + ".onnx"), options);
  }

  private static void check(String name, PqvOptions options) throws Exception {
    try (PqvClassifier classifier = open(name, options)) {
      Samples.assertPythons(name, Samples.IMAGES, classifier::logits);
    }
  }

  @Test
  public void logitsOfFloatInput() throws Exception {
    check("float", PqvOptions.DEFAULT);
  }

  @Test
  public void logitsOfPixels() throws Exception {
    check("uint8", PqvOptions.DEFAULT.withThreads(2).withOps(PqvOptions.Ops.REQUIRED));
  }

  @Test
  public void logitsOfWholeImages() throws Exception {
    check("image", PqvOptions.DEFAULT);
  }

  @Test
  public void logitsWithoutTheOps() throws Exception {
    check("float", PqvOptions.DEFAULT.withOps(PqvOptions.Ops.UNUSED));
  }

  @Test
  public void classesWithNamesAndPercent() throws Exception {
    List<String> found = new ArrayList<>();
    try (PqvClassifier classifier = open("float", PqvOptions.DEFAULT)) {
      for (int i = 0; i < Samples.IMAGES; ++i) {
        for (Classification one : classifier.classify(Samples.bitmap("" + i), 3)) {
          found.add(one.index + " " + one);
        }
      }
      assertEquals(5, classifier.classify(Samples.bitmap("0"), 99).size());
      assertEquals("zebra", classifier.getLabels().get(2));
    }
    assertEquals(new String(Samples.bytes("answers"), UTF_8), String.join("\n", found));
  }

  @Test
  public void labelsOfTheApp() throws Exception {
    PqvOptions options = PqvOptions.DEFAULT.withLabels(Arrays.asList("a", "b", "c", "d", "e"));
    try (PqvClassifier classifier = open("no labels", options)) {
      Classification best = classifier.classify(Samples.bitmap("0"), 1).get(0);
      assertEquals("abcde".substring(best.index, best.index + 1), best.label);
    }
  }

  @Test
  public void anAsset() throws Exception {
    try (PqvClassifier classifier =
        PqvClassifier.fromAsset(Samples.app(), "float.onnx")) {
      Samples.assertPythons("float", Samples.IMAGES, classifier::logits);
    }
    Samples.assertRefused(
        "none.onnx: the app has no such asset",
        () -> PqvClassifier.fromAsset(Samples.app(), "none.onnx"));
  }

  @Test
  public void whichKernelsRan() throws Exception {
    try (PqvClassifier classifier = open("float", PqvOptions.DEFAULT)) {
      String variant = System.getProperty("pqv.variant");
      assertEquals(variant, classifier.getKernels().getVariant());
      assertNull(classifier.getKernels().getReason());
      assertEquals("libpqv_ops, " + variant, classifier.getKernels().toString());
      assertEquals("w4a4", classifier.getMetadata("pqv.precision"));
    }
    PqvOptions unused = PqvOptions.DEFAULT.withOps(PqvOptions.Ops.UNUSED);
    try (PqvClassifier classifier = open("float", unused)) {
      assertNull(classifier.getKernels().getVariant());
      assertEquals("stock onnxruntime: the app asked for it", classifier.getKernels().toString());
    }
  }

  /** Each of several threads with a classifier of its own, and all with one. */
  @Test
  public void severalThreadsAtOnce() throws Exception {
    List<CompletableFuture<Void>> threads = new ArrayList<>();
    try (PqvClassifier shared = open("float", PqvOptions.DEFAULT.withThreads(1))) {
      for (String name : new String[] {"float", "uint8", "image", "float"}) {
        threads.add(
            CompletableFuture.runAsync(
                () -> {
                  try {
                    Samples.assertPythons("float", Samples.IMAGES, shared::logits);
                    check(name, PqvOptions.DEFAULT.withThreads(2));
                  } catch (Exception error) {
                    throw new AssertionError(error);
                  }
                },
                task -> new Thread(task).start()));
      }
      for (CompletableFuture<Void> thread : threads) {
        thread.get();
      }
    }
  }

  private static void checkSpecial(String name, Bitmap bitmap) throws Exception {
    try (PqvClassifier classifier = open("float", PqvOptions.DEFAULT)) {
      float[] expected = Samples.floats(name + ".logits");
      Samples.assertSameBits(name, expected, classifier.logits(bitmap));
    }
  }

  @Test
  public void greyImages() throws Exception {
    checkSpecial("grey", Samples.bitmap("grey"));
    checkSpecial("grey", Samples.plain("grey.png"));
  }

  @Test
  public void imagesWithTransparency() throws Exception {
    checkSpecial("alpha", Samples.bitmap("alpha"));
    try (PqvClassifier classifier = open("float", PqvOptions.DEFAULT)) {
      assertEquals(5, classifier.logits(Samples.plain("alpha.png")).length);
    }
  }

  /** Decoded as it lies in its file: EXIF says that it was taken on its side. */
  @Test
  public void photos() throws Exception {
    checkSpecial("photo", Samples.plain("photo.jpg"));
  }

  @Test
  public void hugeImages() throws Exception {
    checkSpecial("huge", Samples.plain("huge.png"));
  }

  /** The app turns photos, as their EXIF data say: here by a quarter. */
  @Test
  public void turnedImages() throws Exception {
    Bitmap photo = Samples.plain("0.png");
    Matrix turn = new Matrix();
    turn.postRotate(90);
    Bitmap turned =
        Bitmap.createBitmap(photo, 0, 0, photo.getWidth(), photo.getHeight(), turn, false);
    checkSpecial("turned", turned);
  }

  @Test
  public void bitmapsForDrawing() throws Exception {
    Bitmap bitmap = Samples.plain("0.png");
    Bitmap copy = bitmap.copy(Bitmap.Config.RGB_565, false);
    try (PqvClassifier classifier = open("float", PqvOptions.DEFAULT)) {
      assertEquals(5, classifier.logits(copy).length);
      Bitmap hardware = bitmap.copy(Bitmap.Config.valueOf("HARDWARE"), false);
      if (hardware != null) {
        float[] expected = classifier.logits(bitmap);
        Samples.assertSameBits("hardware", expected, classifier.logits(hardware));
      }
    }
    assertTrue(copy.getConfig() == Bitmap.Config.RGB_565);
  }
}
