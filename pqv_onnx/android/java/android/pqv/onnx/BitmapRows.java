package pqv.onnx;

import android.graphics.Bitmap;
import org.jspecify.annotations.Nullable;

/** The pixels of a Bitmap, without their transparency. */
final class BitmapRows implements Rows {
  private final Bitmap bitmap;
  private final int channels;
  private final int[] colors;

  /**
   * Reads a bitmap, whose pixels must not change while it is read.
   *
   * @param channels 3, or 1 for grey.
   * @throws PqvException there is none, or it was recycled.
   */
  BitmapRows(@Nullable Bitmap bitmap, int channels) throws PqvException {
    if (bitmap == null) {
      throw new PqvException("there is no image: Android could not decode it");
    }
    if (bitmap.isRecycled()) {
      throw new PqvException("the bitmap is recycled");
    }
    this.bitmap = isOnlyForDrawing(bitmap) ? bitmap.copy(Bitmap.Config.ARGB_8888, false) : bitmap;
    this.channels = channels;
    colors = new int[bitmap.getWidth()];
  }

  private static boolean isOnlyForDrawing(Bitmap bitmap) {
    return "HARDWARE".equals(String.valueOf(bitmap.getConfig())); // a constant of API level 26
  }

  @Override
  public int width() {
    return bitmap.getWidth();
  }

  @Override
  public int height() {
    return bitmap.getHeight();
  }

  @Override
  public int channels() {
    return channels;
  }

  @Override
  public void read(int y, byte[] row) {
    bitmap.getPixels(colors, 0, width(), 0, y, width(), 1);
    int at = 0;
    for (int color : colors) {
      int red = color >> 16 & 255;
      int green = color >> 8 & 255;
      int blue = color & 255;
      if (channels == 1) {
        // Luma of ITU-R BT.601 in 16 fraction bits, as Pillow has it; grey stays what it is.
        row[at++] = (byte) ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
      } else {
        row[at++] = (byte) red;
        row[at++] = (byte) green;
        row[at++] = (byte) blue;
      }
    }
  }
}
