package pqv.onnx;

import ai.onnxruntime.OrtSession;
import android.content.Context;
import android.graphics.Bitmap;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * What classifier and embedder share. A model runs on a thread of its own, one image after another,
 * and may be used from any thread. Opening reads and prepares the weights, and the methods that
 * wait take as long as the model: neither is for the main thread.
 */
public abstract class PqvModel implements AutoCloseable {
  /** What is done with the output for one image. */
  interface Reading<T> {
    T read(float[] output) throws PqvException;
  }

  final Model model;
  private final ModelThread thread = new ModelThread();

  PqvModel(Model model) {
    this.model = model;
  }

  static Model open(File file, PqvOptions options) throws PqvException {
    if (!file.isFile()) {
      throw new PqvException(file + ": there is no such file");
    }
    String path = file.getPath();
    return Model.open(path, (environment, made) -> environment.createSession(path, made), options);
  }

  static Model open(Context context, String asset, PqvOptions options) throws PqvException {
    byte[] bytes = read(context, asset);
    return Model.open(
        asset, (environment, made) -> environment.createSession(bytes, made), options);
  }

  private static byte[] read(Context context, String asset) throws PqvException {
    try (InputStream stream = context.getAssets().open(asset)) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream(Math.max(stream.available(), 1));
      byte[] part = new byte[1 << 16];
      for (int count = stream.read(part); count >= 0; count = stream.read(part)) {
        bytes.write(part, 0, count);
      }
      return bytes.toByteArray();
    } catch (FileNotFoundException error) {
      throw new PqvException(asset + ": the app has no such asset", error);
    } catch (IOException error) {
      throw new PqvException(asset + ": cannot be read: " + error.getMessage(), error);
    }
  }

  /** What computes the model: the op library's kernels, or onnxruntime alone and why. */
  public final Kernels getKernels() {
    return model.kernels;
  }

  /** An entry of the model's metadata, as "pqv.model"; null where the file has no such. */
  public final @Nullable String getMetadata(String key) {
    return model.metadata.find(key);
  }

  final <T> T call(Bitmap image, Reading<T> reading) throws PqvException {
    return thread.call(() -> run(image, reading));
  }

  final <T> CompletableFuture<T> submit(Bitmap image, Reading<T> reading) {
    return thread.submit(() -> run(image, reading));
  }

  private <T> T run(Bitmap image, Reading<T> reading) throws PqvException {
    return reading.read(model.run(new BitmapRows(image, model.input.channels)));
  }

  /**
   * Frees what the model takes, behind the images that wait, and waits for that unless a callback
   * on the model's own thread asks. Again it does nothing. Whatever is asked of the model afterwards
   * throws an IllegalStateException.
   */
  @Override
  public final void close() {
    thread.close(model::close);
  }
}
