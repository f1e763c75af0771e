package pqv.onnx;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Session options with the op library, or without it and why. */
final class Registered {
  private final PqvOptions.Ops wanted;
  private final @Nullable OpLibrary library;
  private final String missing;

  /**
   * Registers the library if it is wanted.
   *
   * @throws PqvException it is required and cannot be loaded, or it refuses.
   */
  Registered(OrtSession.SessionOptions options, PqvOptions.Ops wanted) throws PqvException {
    this.wanted = wanted;
    OpLibrary found = null;
    String reason = "the app asked for it";
    if (wanted != PqvOptions.Ops.UNUSED) {
      try {
        found = OpLibrary.register(options);
      } catch (UnsatisfiedLinkError error) {
        reason = missing(error);
        if (wanted == PqvOptions.Ops.REQUIRED) {
          throw new PqvException(reason, error);
        }
      } catch (OrtException error) {
        throw PqvException.of("the op library was not registered", error);
      }
    }
    library = found;
    missing = reason;
  }

  private static String missing(UnsatisfiedLinkError error) {
    return String.format(
        Locale.ROOT,
        "the app has no %s for this processor, %s (%s)",
        PqvOps.LIBRARY, System.getProperty("os.arch"), error.getMessage());
  }

  /**
   * What runs a model's ops.
   *
   * @throws PqvException pqv did not export the model, or for another version of the op domain than
   *     the library's, to which onnxruntime would hand its nodes all the same.
   */
  Kernels kernelsOf(Metadata metadata) throws PqvException {
    if (metadata.find("pqv.format") != null) {
      return withoutOps("the model is in standard ops");
    }
    String version = metadata.find("pqv.op_domain_version");
    if (version == null) {
      throw new PqvException("has no op of the domain pqv: it is not a file of pqv export");
    }
    if (library == null) {
      return Kernels.stock(missing);
    }
    if (!version.equals(library.domainVersion)) {
      throw new PqvException(
          String.format(
              Locale.ROOT,
              "the model wants version %s of the op domain pqv, the app's library has version %s:"
                  + " take the pqv-android of the pqv that exported it",
              version, library.domainVersion));
    }
    return Kernels.library(library.variant);
  }

  private Kernels withoutOps(String reason) throws PqvException {
    if (wanted == PqvOptions.Ops.REQUIRED) {
      throw new PqvException(reason + ", which the op library does not run");
    }
    return Kernels.stock(reason);
  }
}
