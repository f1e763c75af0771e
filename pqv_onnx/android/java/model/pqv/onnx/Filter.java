package pqv.onnx;

/** How resized images are weighted; the names are timm's. */
enum Filter {
  BILINEAR(1) {
    @Override
    double weight(double x) {
      return Math.max(1 - Math.abs(x), 0);
    }
  },
  /** Keys (1981) with a = -0.5. */
  BICUBIC(2) {
    @Override
    double weight(double x) {
      double a = -0.5;
      x = Math.abs(x);
      if (x < 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
      }
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    }
  },
  LANCZOS(3) {
    @Override
    double weight(double x) {
      return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    }
  };

  /** How far the filter reaches on both sides, in pixels of an image that does not shrink. */
  final double support;

  Filter(double support) {
    this.support = support;
  }

  abstract double weight(double x);

  private static double sinc(double x) {
    return x == 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
  }
}
