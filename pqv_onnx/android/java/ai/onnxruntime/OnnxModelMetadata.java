package ai.onnxruntime;

import java.util.Map;

/** Stands in for onnxruntime's class while pqv's classes are compiled; it is not packed. */
public class OnnxModelMetadata {
  /** The file's metadata_props. */
  public Map<String, String> getCustomMetadata() {
    return null;
  }
}
