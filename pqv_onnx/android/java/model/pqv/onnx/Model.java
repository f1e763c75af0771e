package pqv.onnx;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A model in onnxruntime: how images become its input, and its first output. Android-free. */
final class Model implements AutoCloseable {
  private static final int MINIMUM_MINOR = 18;

  /** Makes a session; of a file or of bytes. */
  interface Source {
    OrtSession open(OrtEnvironment environment, OrtSession.SessionOptions options)
        throws OrtException;
  }

  /** What errors call the model. */
  final String name;

  final Metadata metadata;
  final ModelInput input;
  final Kernels kernels;
  final TensorInfo output;
  private final OrtSession session;
  private final String inputName;
  private final String outputName;

  /**
   * Opens a model.
   *
   * @param name what errors call it.
   * @throws PqvException it is no model that pqv exported, or the library or onnxruntime does not
   *     fit it.
   */
  static Model open(String name, Source source, PqvOptions options) throws PqvException {
    OrtSession session = null;
    try {
      OrtEnvironment environment = OrtEnvironment.getEnvironment();
      checkVersion(environment.getVersion());
      try (OrtSession.SessionOptions made = new OrtSession.SessionOptions()) {
        made.setIntraOpNumThreads(options.threads);
        Registered registered = new Registered(made, options.ops);
        session = source.open(environment, made);
        return new Model(name, session, registered);
      }
    } catch (OrtException error) {
      close(session);
      throw PqvException.of(name, error);
    } catch (PqvException error) {
      close(session);
      throw new PqvException(name + ": " + error.getMessage(), error);
    } catch (LinkageError error) {
      throw new PqvException(name + ": onnxruntime cannot be loaded: " + error.getMessage(), error);
    }
  }

  /** Refuses an onnxruntime that knows too little of custom ops. */
  static void checkVersion(String version) throws PqvException {
    String[] parts = version.split("\\.");
    int major = Integer.parseInt(parts[0]);
    if (major < 1 || major == 1 && Integer.parseInt(parts[1]) < MINIMUM_MINOR) {
      throw new PqvException(
          "onnxruntime " + version + " is too old: 1." + MINIMUM_MINOR + " or newer is needed");
    }
  }

  private Model(String name, OrtSession session, Registered registered)
      throws PqvException, OrtException {
    this.name = name;
    this.session = session;
    metadata = new Metadata(session.getMetadata().getCustomMetadata());
    kernels = registered.kernelsOf(metadata);
    input = new ModelInput(metadata);
    if (session.getNumInputs() != 1) {
      throw new PqvException("has " + session.getNumInputs() + " inputs, expected one");
    }
    Map.Entry<String, NodeInfo> given = session.getInputInfo().entrySet().iterator().next();
    Map.Entry<String, NodeInfo> first = session.getOutputInfo().entrySet().iterator().next();
    inputName = given.getKey();
    outputName = first.getKey();
    input.checkFits((TensorInfo) given.getValue().getInfo());
    output = (TensorInfo) first.getValue().getInfo();
  }

  /** Refuses a model that gives something else than its metadata's `pqv.task` may be. */
  void checkTask(String... allowed) throws PqvException {
    String found = metadata.find("pqv.task");
    String task = found == null ? "logits" : found;
    if (!Arrays.asList(allowed).contains(task)) {
      throw new PqvException(
          name + ": gives " + task + ", expected " + String.join(" or ", allowed));
    }
  }

  /** The first output for one image: float32 as it is, int8 as whole numbers. */
  float[] run(Rows image) throws PqvException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    ByteBuffer bytes = Preparation.prepare(image, input);
    try (OnnxTensor tensor = tensor(environment, bytes, input.shape(image));
        OrtSession.Result result =
            session.run(
                Collections.singletonMap(inputName, tensor), Collections.singleton(outputName))) {
      return floats((OnnxTensor) result.get(0));
    } catch (OrtException error) {
      throw PqvException.of(name, error);
    }
  }

  private OnnxTensor tensor(OrtEnvironment environment, ByteBuffer bytes, long[] shape)
      throws OrtException {
    return input.kind == ModelInput.Kind.FLOAT
        ? OnnxTensor.createTensor(environment, bytes.asFloatBuffer(), shape)
        : OnnxTensor.createTensor(environment, bytes, shape, OnnxJavaType.UINT8);
  }

  private static float[] floats(OnnxTensor tensor) {
    if (tensor.getInfo().type == OnnxJavaType.FLOAT) {
      float[] values = new float[tensor.getFloatBuffer().remaining()];
      tensor.getFloatBuffer().get(values);
      return values;
    }
    ByteBuffer codes = tensor.getByteBuffer();
    float[] values = new float[codes.remaining()];
    for (int i = 0; i < values.length; ++i) {
      values[i] = codes.get(i);
    }
    return values;
  }

  @Override
  public void close() {
    close(session);
  }

  private static void close(@Nullable OrtSession session) {
    try {
      if (session != null) {
        session.close();
      }
    } catch (OrtException error) {
      throw new IllegalStateException(error); // it is closed once only
    }
  }
}
