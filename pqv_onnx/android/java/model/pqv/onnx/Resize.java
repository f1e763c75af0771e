package pqv.onnx;

import java.util.Arrays;

/**
 * Resizing images to the bits of Pillow, as custom_ops/runner/resize.cc does it: a filter that
 * widens where the image shrinks, across and down, with rounding to bytes in between.
 */
final class Resize {
  /** Fraction bits of a weight: 32 less those of a pixel and two to spare. */
  private static final int FRACTION_BITS = 22;

  private Resize() {}

  /** Resizes, as rows are read; as Pillow 13, first down where over twice as many rows as columns go. */
  static Rows resize(Rows image, int width, int height, Filter filter) {
    int rows = Math.max(image.height() - height, 0);
    int columns = Math.max(image.width() - width, 0);
    if (image.width() != width && rows > 2L * columns) {
      return across(down(image, height, filter), width, filter);
    }
    return down(across(image, width, filter), height, filter);
  }

  private static Rows across(Rows image, int width, Filter filter) {
    return image.width() == width ? image : new Across(image, width, filter);
  }

  private static Rows down(Rows image, int height, Filter filter) {
    return image.height() == height ? image : new Down(image, height, filter);
  }

  private static byte round(int sum) {
    int value = sum >> FRACTION_BITS;
    return (byte) (value < 0 ? 0 : Math.min(value, 255));
  }

  /** What each place of the output takes of the input: weights from a first place on. */
  private static final class Weights {
    final int[] first;
    final int[][] fixed;

    Weights(int from, int to, Filter filter) {
      double scale = (double) from / to;
      double widening = scale < 1 ? 1 : scale;
      double support = filter.support * widening;
      first = new int[to];
      fixed = new int[to][];
      for (int i = 0; i < to; ++i) {
        double center = (i + 0.5) * scale;
        first[i] = (int) Math.max(center - support + 0.5, 0);
        int end = Math.min((int) (center + support + 0.5), from);
        fixed[i] = new int[end - first[i]];
        fill(fixed[i], first[i], center, 1.0 / widening, filter);
      }
    }

    private static void fill(
        int[] fixed, int first, double center, double narrowing, Filter filter) {
      double[] exact = new double[fixed.length];
      double sum = 0;
      for (int j = 0; j < exact.length; ++j) {
        exact[j] = filter.weight((j + first - center + 0.5) * narrowing);
        sum += exact[j];
      }
      for (int j = 0; j < exact.length; ++j) {
        double weight = (sum != 0 ? exact[j] / sum : exact[j]) * (1 << FRACTION_BITS);
        fixed[j] = (int) (weight < 0 ? weight - 0.5 : weight + 0.5);
      }
    }

    int longest() {
      int longest = 0;
      for (int[] weights : fixed) {
        longest = Math.max(longest, weights.length);
      }
      return longest;
    }
  }

  private static final class Across implements Rows {
    private final Rows image;
    private final Weights weights;
    private final byte[] from;

    Across(Rows image, int width, Filter filter) {
      this.image = image;
      weights = new Weights(image.width(), width, filter);
      from = new byte[image.width() * image.channels()];
    }

    @Override
    public int width() {
      return weights.first.length;
    }

    @Override
    public int height() {
      return image.height();
    }

    @Override
    public int channels() {
      return image.channels();
    }

    @Override
    public void read(int y, byte[] row) {
      image.read(y, from);
      int channels = channels();
      int at = 0;
      for (int x = 0; x < width(); ++x) {
        int[] fixed = weights.fixed[x];
        for (int c = 0; c < channels; ++c) {
          int sum = 1 << (FRACTION_BITS - 1);
          int pixel = weights.first[x] * channels + c;
          for (int weight : fixed) {
            sum += (from[pixel] & 255) * weight;
            pixel += channels;
          }
          row[at++] = round(sum);
        }
      }
    }
  }

  /** Keeps as many rows of the input as one row of the output needs. */
  private static final class Down implements Rows {
    private final Rows image;
    private final Weights weights;
    private final byte[][] kept;
    private final int[] sums;
    private int next = 0;

    Down(Rows image, int height, Filter filter) {
      this.image = image;
      weights = new Weights(image.height(), height, filter);
      sums = new int[image.width() * image.channels()];
      kept = new byte[weights.longest()][sums.length];
    }

    @Override
    public int width() {
      return image.width();
    }

    @Override
    public int height() {
      return weights.first.length;
    }

    @Override
    public int channels() {
      return image.channels();
    }

    @Override
    public void read(int y, byte[] row) {
      int first = weights.first[y];
      int[] fixed = weights.fixed[y];
      for (next = Math.max(next, first); next < first + fixed.length; ++next) {
        image.read(next, kept[next % kept.length]);
      }
      Arrays.fill(sums, 1 << (FRACTION_BITS - 1));
      for (int j = 0; j < fixed.length; ++j) {
        byte[] from = kept[(first + j) % kept.length];
        for (int x = 0; x < sums.length; ++x) {
          sums[x] += (from[x] & 255) * fixed[j];
        }
      }
      for (int x = 0; x < sums.length; ++x) {
        row[x] = round(sums[x]);
      }
    }
  }
}
