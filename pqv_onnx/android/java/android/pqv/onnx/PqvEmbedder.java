package pqv.onnx;

import android.content.Context;
import android.graphics.Bitmap;
import java.io.File;
import java.util.concurrent.CompletableFuture;

/**
 * A model that gives a vector for an image: images that are alike have vectors of like directions.
 * Of bitmaps the same holds as for {@link PqvClassifier}.
 */
public final class PqvEmbedder extends PqvModel {
  private static final Metadata.Limits SCALE =
      new Metadata.Limits(0, 1e6, false, "a number above 0");

  private final float scale;

  private PqvEmbedder(Model model) throws PqvException {
    super(model);
    boolean isCodes = "int8".equals(model.metadata.find("pqv.embedding"));
    scale = isCodes ? (float) model.metadata.number("pqv.embedding_scale", SCALE) : 1;
  }

  /**
   * Opens a model among the app's assets.
   *
   * @throws PqvException there is none, it gives no embedding or is not one that pqv exported, or
   *     the op library or onnxruntime does not fit it.
   */
  public static PqvEmbedder fromAsset(Context context, String name) throws PqvException {
    return fromAsset(context, name, PqvOptions.DEFAULT);
  }

  /** As {@link #fromAsset(Context, String)}, with options. */
  public static PqvEmbedder fromAsset(Context context, String name, PqvOptions options)
      throws PqvException {
    return of(open(context, name, options));
  }

  /**
   * Opens a file.
   *
   * @throws PqvException as {@link #fromAsset(Context, String)}.
   */
  public static PqvEmbedder fromFile(File file) throws PqvException {
    return fromFile(file, PqvOptions.DEFAULT);
  }

  /** As {@link #fromFile(File)}, with options. */
  public static PqvEmbedder fromFile(File file, PqvOptions options) throws PqvException {
    return of(open(file, options));
  }

  private static PqvEmbedder of(Model model) throws PqvException {
    try {
      model.checkTask("embedding", "unit_embedding");
      return new PqvEmbedder(model);
    } catch (PqvException error) {
      model.close();
      throw error;
    }
  }

  /**
   * The vector of an image; waits for it. Codes of int8 are multiplied by what a step is worth.
   *
   * @throws PqvException there is no image, or one that is too large; or onnxruntime fails.
   */
  public float[] embed(Bitmap image) throws PqvException {
    return call(image, this::scaled);
  }

  /**
   * As {@link #embed}, without waiting. The future fails with the same {@link PqvException}; what
   * is chained to it without an executor may run on the model's thread.
   */
  public CompletableFuture<float[]> embedAsync(Bitmap image) {
    return submit(image, this::scaled);
  }

  private float[] scaled(float[] output) {
    for (int i = 0; scale != 1 && i < output.length; ++i) {
      output[i] *= scale;
    }
    return output;
  }
}
