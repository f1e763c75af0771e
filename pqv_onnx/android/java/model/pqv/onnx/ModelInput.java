package pqv.onnx;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.TensorInfo;
import java.util.Arrays;
import java.util.Locale;

/** What a model takes and what is done to an image for it, as its metadata say. */
final class ModelInput {
  enum Kind {
    /** Normalised. */
    FLOAT,
    /** Pixels of the model's size. */
    UINT8,
    /** Of any size, which the model resizes and crops itself. */
    IMAGE
  }

  private static final Metadata.Limits SIDE =
      new Metadata.Limits(1, 4096, true, "a whole number from 1 to 4096");
  private static final Metadata.Limits MEAN =
      new Metadata.Limits(-1e6, 1e6, false, "a number from -1e+06 to 1e+06");
  private static final Metadata.Limits STD =
      new Metadata.Limits(1e-6, 1e6, false, "a number from 1e-06 to 1e+06");
  private static final Metadata.Limits CROP =
      new Metadata.Limits(0.01, 10, false, "a number from 0.01 to 10");

  final int channels;
  final int height;
  final int width;
  final double[] mean;
  final double[] std;
  final double crop;
  final Filter filter;

  /** Whether images take the model's proportions. */
  final boolean squashes;

  final Kind kind;
  final boolean isChannelsLast;

  /** Reads and checks every field. */
  ModelInput(Metadata metadata) throws PqvException {
    double[] size = metadata.numbers("pqv.input_size", SIDE);
    if (size.length != 3) {
      throw Metadata.wrong("pqv.input_size", "has " + size.length + " numbers", "3");
    }
    channels = (int) size[0];
    height = (int) size[1];
    width = (int) size[2];
    if (channels != 1 && channels != 3) {
      throw new PqvException(
          "the model takes " + channels + " channels, expected 1 or 3 for images");
    }
    mean = perChannel(metadata, "pqv.mean", MEAN);
    std = perChannel(metadata, "pqv.std", STD);
    crop = metadata.number("pqv.crop_pct", CROP);
    if (Math.min(height, width) < crop) {
      throw new PqvException(
          "the model's pqv.crop_pct is " + crop + ", expected at most the shorter side");
    }
    filter = Filter.valueOf(readFilter(metadata));
    squashes =
        metadata.find("pqv.crop_mode") != null // files of earlier versions have none
            && metadata.choose("pqv.crop_mode", "center", "squash").equals("squash");
    String input = metadata.choose("pqv.input", "float", "uint8", "image");
    kind = Kind.valueOf(input.toUpperCase(Locale.ROOT));
    isChannelsLast = readLayout(metadata, kind).equals("nhwc");
  }

  private double[] perChannel(Metadata metadata, String key, Metadata.Limits limits)
      throws PqvException {
    double[] values = metadata.numbers(key, limits);
    if (values.length != channels) {
      String found = "has " + values.length + " numbers";
      throw Metadata.wrong(key, found, "one for each of " + channels + " channels");
    }
    return values;
  }

  private static String readFilter(Metadata metadata) throws PqvException {
    String name =
        metadata.choose("pqv.interpolation", "nearest", "bilinear", "bicubic", "lanczos");
    if (name.equals("nearest")) {
      throw new PqvException("the model asks for the interpolation nearest, which is not there");
    }
    return name.toUpperCase(Locale.ROOT);
  }

  private static String readLayout(Metadata metadata, Kind kind) throws PqvException {
    switch (kind) {
      case FLOAT:
        return metadata.choose("pqv.layout", "nchw");
      case UINT8:
        return metadata.choose("pqv.layout", "nchw", "nhwc");
      default:
        return metadata.choose("pqv.layout", "hwc");
    }
  }

  /** The shape of the tensor for an image, which only a model of images makes depend on it. */
  long[] shape(Rows image) {
    return kind == Kind.IMAGE
        ? new long[] {image.height(), image.width(), channels}
        : ownShape();
  }

  private long[] ownShape() {
    return isChannelsLast
        ? new long[] {1, height, width, channels}
        : new long[] {1, channels, height, width};
  }

  /** Refuses a model whose input is another than its metadata say. */
  void checkFits(TensorInfo input) throws PqvException {
    OnnxJavaType type = kind == Kind.FLOAT ? OnnxJavaType.FLOAT : OnnxJavaType.UINT8;
    long[] expected = kind == Kind.IMAGE ? new long[] {-1, -1, channels} : ownShape();
    long[] found = input.getShape();
    boolean fits = input.type == type && found.length == expected.length;
    for (int i = 0; fits && i < found.length; ++i) {
      fits = found[i] == expected[i] || found[i] < 0; // an open axis takes any size
    }
    if (!fits) {
      throw new PqvException(
          String.format(
              Locale.ROOT,
              "the model's input is %s %s, its metadata say %s %s",
              input.type, Arrays.toString(found), type, Arrays.toString(expected)));
    }
  }
}
