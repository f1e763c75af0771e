package pqv.onnx;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** An image to a model's input: the bits of pqv_onnx/runtime/preprocess.py. */
final class Preparation {
  private static final int MAX_IMAGE_SIDE = 65535;
  private static final long MAX_IMAGE_PIXELS = 1L << 27;

  private Preparation() {}

  /**
   * Resizes, crops and normalises what the model does not do itself.
   *
   * @return the bytes of the tensor, in the order of the processor.
   * @throws PqvException the image has no pixels, other channels than the model, or too many
   *     pixels, as it is or resized.
   */
  static ByteBuffer prepare(Rows image, ModelInput wanted) throws PqvException {
    checkSize(image.width(), image.height(), "");
    long[] size = resizedSize(image, wanted);
    checkSize(size[0], size[1], " resized for the model");
    if (wanted.kind == ModelInput.Kind.IMAGE) {
      return whole(image);
    }
    Rows resized = Resize.resize(image, (int) size[0], (int) size[1], wanted.filter);
    int values = wanted.height * wanted.width * wanted.channels;
    boolean isFloat = wanted.kind == ModelInput.Kind.FLOAT;
    ByteBuffer made = allocate(isFloat ? values * Float.BYTES : values);
    float[][] normalised = isFloat ? normalised(wanted) : null;
    byte[] row = new byte[wanted.width * wanted.channels];
    byte[] from = new byte[resized.width() * wanted.channels];
    int top = start(resized.height(), wanted.height);
    for (int y = 0; y < wanted.height; ++y) {
      Arrays.fill(row, (byte) 0); // black outside of the image
      if (y + top >= 0 && y + top < resized.height()) {
        resized.read(y + top, from);
        crop(from, row, wanted);
      }
      for (int i = 0; i < row.length; ++i) {
        int c = i % wanted.channels;
        int at = place(y, i / wanted.channels, c, wanted);
        if (normalised != null) {
          made.putFloat(at * Float.BYTES, normalised[c][row[i] & 255]);
        } else {
          made.put(at, row[i]);
        }
      }
    }
    return made;
  }

  static void checkSize(long width, long height, String what) throws PqvException {
    boolean fits = Math.min(width, height) >= 1 && Math.max(width, height) <= MAX_IMAGE_SIDE;
    if (!fits || width * height > MAX_IMAGE_PIXELS) {
      throw new PqvException(
          "the image has " + width + " x " + height + " pixels" + what + ", expected 1 to "
              + MAX_IMAGE_SIDE + " on a side and at most " + MAX_IMAGE_PIXELS + " in all");
    }
  }

  /** Width and height that an image is resized to, as timm rounds them. */
  private static long[] resizedSize(Rows image, ModelInput wanted) {
    long wide = (long) (wanted.width / wanted.crop);
    long high = (long) (wanted.height / wanted.crop);
    if (wanted.squashes) {
      return new long[] {wide, high};
    }
    if (wide == high) {
      int shorter = Math.min(image.width(), image.height());
      return new long[] {wide * image.width() / shorter, high * image.height() / shorter};
    }
    double ratio = Math.min((double) image.width() / wide, (double) image.height() / high);
    return new long[] {
      (long) Math.rint(image.width() / ratio), (long) Math.rint(image.height() / ratio)
    };
  }

  /** Where the centre of `smaller` places begins in `larger`, halves to the even side. */
  private static int start(int larger, int smaller) {
    int excess = larger - smaller;
    int half = excess / 2;
    return excess % 2 == 1 && half % 2 == 1 ? half + 1 : half;
  }

  private static void crop(byte[] from, byte[] row, ModelInput wanted) {
    int left = start(from.length / wanted.channels, wanted.width) * wanted.channels;
    int count = Math.min(row.length, from.length);
    System.arraycopy(from, Math.max(left, 0), row, Math.max(-left, 0), count);
  }

  private static int place(int y, int x, int c, ModelInput wanted) {
    return wanted.isChannelsLast
        ? (y * wanted.width + x) * wanted.channels + c
        : (c * wanted.height + y) * wanted.width + x;
  }

  /** What each byte becomes in each channel. */
  private static float[][] normalised(ModelInput wanted) {
    float[][] values = new float[wanted.channels][256];
    for (int c = 0; c < wanted.channels; ++c) {
      for (int pixel = 0; pixel < 256; ++pixel) {
        values[c][pixel] = (pixel / 255.0f - (float) wanted.mean[c]) / (float) wanted.std[c];
      }
    }
    return values;
  }

  private static ByteBuffer whole(Rows image) {
    byte[] row = new byte[image.width() * image.channels()];
    ByteBuffer made = allocate(Math.multiplyExact(row.length, image.height()));
    for (int y = 0; y < image.height(); ++y) {
      image.read(y, row);
      made.put(row);
    }
    made.rewind();
    return made;
  }

  private static ByteBuffer allocate(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }
}
