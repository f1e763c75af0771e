package pqv.onnx;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;

/** The op library of the domain {@code pqv} in an app with onnxruntime. */
public final class PqvOps {
  /** What {@link System#loadLibrary} is given. */
  public static final String NAME = "pqv_ops";

  /**
   * What {@code OrtSession.SessionOptions.registerCustomOpLibrary} is given. No folder: the linker
   * finds the loaded library by its name, also where libraries stay inside the APK.
   */
  public static final String LIBRARY = "libpqv_ops.so";

  /**
   * What {@code OrtSession.SessionOptions.registerCustomOpsUsingFunction} is given, after {@link
   * System#loadLibrary}: on Android another way to register.
   */
  public static final String FUNCTION = "RegisterPqvCustomOps";

  private PqvOps() {}

  /**
   * Loads the library and registers its ops, once for each SessionOptions.
   *
   * @throws UnsatisfiedLinkError the app has no library for the architecture of the device.
   * @throws OrtException onnxruntime refuses the ops, for example when they are registered already.
   */
  public static void register(OrtSession.SessionOptions options) throws OrtException {
    System.loadLibrary(NAME);
    options.registerCustomOpLibrary(LIBRARY);
  }
}
