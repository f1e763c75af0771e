package pqv.onnx;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.function.ThrowingRunnable;
import org.robolectric.RuntimeEnvironment;

/** The folder that tests/android/samples.py fills. */
final class Samples {
  static final int IMAGES = 100;

  private Samples() {}

  static File file(String name) {
    return new File(System.getProperty("pqv.samples"), name);
  }

  /** A PNG file; its pixels are not multiplied by their transparency. */
  static Bitmap bitmap(String name) {
    BitmapFactory.Options options = new BitmapFactory.Options();
    options.inPremultiplied = false;
    return BitmapFactory.decodeFile(file(name + ".png").getPath(), options);
  }

  /** As an app decodes it that thinks of nothing. */
  static Bitmap plain(String name) {
    return BitmapFactory.decodeFile(file(name).getPath());
  }

  /** An app whose assets are the models. */
  static Context app() {
    Context app = RuntimeEnvironment.getApplication();
    app.getAssets().addAssetPath(file("models.apk").getPath());
    return app;
  }

  static byte[] bytes(String name) throws IOException {
    return Files.readAllBytes(file(name).toPath());
  }

  static float[] floats(String name) throws IOException {
    float[] values = new float[(int) file(name).length() / Float.BYTES];
    ByteBuffer.wrap(bytes(name)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
    return values;
  }

  /** Lines of a name and values in base64. */
  static List<String[]> lines(String name) throws IOException {
    List<String[]> lines = new ArrayList<>();
    for (String line : Files.readAllLines(file(name).toPath())) {
      String[] fields = line.split("\t", -1);
      for (int i = 1; i < fields.length; ++i) {
        fields[i] = new String(Base64.getDecoder().decode(fields[i]), UTF_8);
      }
      lines.add(fields);
    }
    return lines;
  }

  static Map<String, String> entries(String name) throws IOException {
    Map<String, String> entries = new HashMap<>();
    for (String[] line : lines(name)) {
      entries.put(line[0], line[1]);
    }
    return entries;
  }

  /** What a model makes of a bitmap. */
  interface Run {
    float[] of(Bitmap bitmap) throws Exception;
  }

  /** Compares what a model makes of the first images with Python's, by the bits. */
  static void assertPythons(String name, int images, Run run) throws Exception {
    float[] expected = floats(name + ".raw");
    int size = expected.length / IMAGES;
    for (int i = 0; i < images; ++i) {
      float[] one = Arrays.copyOfRange(expected, i * size, (i + 1) * size);
      assertSameBits(name + ": " + i, one, run.of(bitmap("" + i)));
    }
  }

  /** Compares floats by their bits. */
  static void assertSameBits(String what, float[] expected, float[] found) {
    int[] bits = new int[expected.length];
    int[] foundBits = new int[found.length];
    for (int i = 0; i < bits.length; ++i) {
      bits[i] = Float.floatToRawIntBits(expected[i]);
    }
    for (int i = 0; i < foundBits.length; ++i) {
      foundBits[i] = Float.floatToRawIntBits(found[i]);
    }
    assertArrayEquals(what, bits, foundBits);
  }

  /** Fails unless an exception has one sentence, with these words. */
  static void assertRefused(String words, ThrowingRunnable task) {
    String message = assertThrows(PqvException.class, task).getMessage();
    assertTrue(message, message.contains(words));
    assertFalse(message, message.contains("\n"));
  }
}
