package pqv.onnx;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.Map;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** Bitmaps to the bits of Python, and the rules of the metadata. */
@RunWith(RobolectricTestRunner.class)
public class PreparationTest {
  @Test
  public void everyWayOfPreparing() throws Exception {
    int compared = 0;
    for (File folder : Samples.file(".").listFiles(File::isDirectory)) {
      String name = folder.getName();
      ModelInput wanted = new ModelInput(new Metadata(Samples.entries(name + "/metadata")));
      for (String size : folder.list((parent, file) -> file.contains(" x "))) {
        Rows image = new BitmapRows(Samples.bitmap(size), wanted.channels);
        ByteBuffer made = Preparation.prepare(image, wanted);
        byte[] found = new byte[made.remaining()];
        made.get(found);
        assertArrayEquals(name + ": " + size, Samples.bytes(name + "/" + size), found);
        ++compared;
      }
    }
    assertTrue(compared >= 80);
  }

  @Test
  public void metadataThatBreakARule() throws Exception {
    for (String[] field : Samples.lines("bad fields")) {
      Samples.assertRefused(
          "the model's pqv." + field[0] + " ", () -> read("pqv." + field[0], field[1]));
      Samples.assertRefused(field[2], () -> read("pqv." + field[0], field[1]));
    }
    Samples.assertRefused("4 channels", () -> read("pqv.input_size", "[4, 24, 24]"));
    Samples.assertRefused("nearest, which is not", () -> read("pqv.interpolation", "nearest"));
    Samples.assertRefused("metadata has no pqv.std", () -> read("pqv.std", null));
  }

  @Test
  public void metadataAtTheirLimits() throws Exception {
    for (String[] field : Samples.lines("extremes")) {
      assertNotNull(read("pqv." + field[0], field[1]));
    }
  }

  private static ModelInput read(String key, String value) throws Exception {
    Map<String, String> entries = Samples.entries("good fields");
    entries.put(key, value);
    return new ModelInput(new Metadata(entries));
  }

  /** Of a size that no bitmap has. */
  private static void prepare(int width, int height) throws Exception {
    Rows image =
        new Rows() {
          @Override
          public int width() {
            return width;
          }

          @Override
          public int height() {
            return height;
          }

          @Override
          public int channels() {
            return 3;
          }

          @Override
          public void read(int y, byte[] row) {}
        };
    Preparation.prepare(image, new ModelInput(new Metadata(Samples.entries("good fields"))));
  }

  @Test
  public void sizesThatAreRefused() {
    Samples.assertRefused("the image has 0 x 5 pixels", () -> prepare(0, 5));
    Samples.assertRefused("the image has 70000 x 1 pixels", () -> prepare(70_000, 1));
    Samples.assertRefused("at most 134217728 in all", () -> prepare(11_586, 11_586));
    Samples.assertRefused("pixels resized for the model", () -> prepare(65_535, 1));
  }
}
