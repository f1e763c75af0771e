package ai.onnxruntime;

/** Stands in for onnxruntime's class while pqv's classes are compiled; it is not packed. */
public class OrtSession {
  /** What Classification calls of onnxruntime's class. */
  public OnnxModelMetadata getMetadata() throws OrtException {
    return null;
  }

  /** What PqvOps calls of onnxruntime's class. */
  public static class SessionOptions {
    /** Loads a library by path, or finds a loaded one by name, and has it register its ops. */
    public void registerCustomOpLibrary(String path) throws OrtException {}
  }
}
