package pqv.onnx;

import ai.onnxruntime.OrtException;

/** What goes wrong with a model or an image: one sentence that names the cause. */
public final class PqvException extends Exception {
  private static final long serialVersionUID = 1;

  PqvException(String message) {
    super(message);
  }

  PqvException(String message, Throwable cause) {
    super(message, cause);
  }

  /** What onnxruntime says of something, on one line. */
  static PqvException of(String what, OrtException cause) {
    String said = String.valueOf(cause.getMessage());
    said = said.replaceFirst("^Error code - \\w+ - message: ", "").trim();
    return new PqvException(what + ": " + said.replaceAll("\\s+", " "), cause);
  }
}
