package pqv.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What the op library of this process says of itself. */
final class OpLibrary {
  /**
   * A model of one node, Info of the domain pqv.library, from `probe`, int8 [open], to `text`,
   * uint8 [open], in the protobuf encoding of onnx.proto.
   */
  private static final String INFO_MODEL =
      "\u0008\n" // ir_version: 10
          + ":M" // graph: node, name, input, output
          + "\n \n\u0005probe\u0012\u0004text\"\u0004Info:\u000bpqv.library"
          + "\u0012\u0004info"
          + "Z\u0011\n\u0005probe\u0012\u0008\n\u0006\u0008\u0003\u0012\u0002\n\u0000"
          + "b\u0010\n\u0004text\u0012\u0008\n\u0006\u0008\u0002\u0012\u0002\n\u0000"
          + "B\u0004\n\u0000\u0010\u0012" // opset_import: the standard ops, 18
          + "B\u000f\n\u000bpqv.library\u0010\u0001"; // and the library's, 1

  private static @Nullable OpLibrary loaded;

  /** Of its kernels, those for this processor. */
  final String variant;

  /** Of the op domain pqv. */
  final String domainVersion;

  private OpLibrary(String info) {
    variant = find(info, "\"selected\": *\"(\\w+)\"");
    domainVersion = find(info, "\"op_domain_version\": *(\\d+)");
  }

  /**
   * Loads the library and registers it.
   *
   * @throws UnsatisfiedLinkError there is none for this processor.
   * @throws OrtException onnxruntime or the library refuses.
   */
  static synchronized OpLibrary register(OrtSession.SessionOptions options) throws OrtException {
    PqvOps.register(options);
    if (loaded == null) {
      loaded = new OpLibrary(ask());
    }
    return loaded;
  }

  private static String ask() throws OrtException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    byte[] model = INFO_MODEL.getBytes(StandardCharsets.ISO_8859_1);
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      PqvOps.register(options);
      try (OrtSession session = environment.createSession(model, options);
          OnnxTensor probe = OnnxTensor.createTensor(environment, new byte[1]);
          OrtSession.Result result = session.run(Collections.singletonMap("probe", probe))) {
        ByteBuffer text = ((OnnxTensor) result.get(0)).getByteBuffer();
        return StandardCharsets.UTF_8.decode(text).toString();
      }
    }
  }

  private static String find(String info, String pattern) {
    Matcher matcher = Pattern.compile(pattern).matcher(info);
    return matcher.find() ? matcher.group(1) : "unknown";
  }
}
