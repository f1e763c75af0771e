package pqv.onnx;

/** The part without Android, where none is: prints what computes a model, and its output. */
final class WithoutAndroid {
  public static void main(String[] words) throws Exception {
    PqvOptions options = PqvOptions.DEFAULT.withOps(PqvOptions.Ops.valueOf(words[1]));
    try (Model model =
        Model.open(
            "m",
            (environment, made) -> environment.createSession(words[0], made),
            options)) {
      System.out.println(model.kernels);
      for (float value : model.run(new Ramp())) {
        System.out.println(Float.floatToRawIntBits(value));
      }
    } catch (PqvException error) {
      System.out.println(error.getMessage());
    }
  }

  private static final class Ramp implements Rows {
    @Override
    public int width() {
      return 40;
    }

    @Override
    public int height() {
      return 30;
    }

    @Override
    public int channels() {
      return 3;
    }

    @Override
    public void read(int y, byte[] row) {
      for (int i = 0; i < row.length; ++i) {
        row[i] = (byte) (i + 7 * y);
      }
    }
  }
}
