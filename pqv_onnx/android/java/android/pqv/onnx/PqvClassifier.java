package pqv.onnx;

import android.content.Context;
import android.graphics.Bitmap;
import java.io.File;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A model that names what it sees in an image.
 *
 * <pre>{@code
 * try (PqvClassifier classifier = PqvClassifier.fromAsset(context, "m.onnx")) {
 *   List<Classification> best = classifier.classify(bitmap, 5);
 * }
 * }</pre>
 *
 * Bitmaps are prepared to the bits of pqv in Python: what is transparent is taken as opaque, and
 * nothing is turned (a photo's orientation is in its EXIF data, which the app heeds when it decodes
 * it). A bitmap must neither change nor be recycled before the answer is there.
 */
public final class PqvClassifier extends PqvModel {
  private final List<String> labels;

  private PqvClassifier(Model model, PqvOptions options) throws PqvException {
    super(model);
    labels = options.labels != null ? options.labels : readLabels(model);
    long[] shape = model.output.getShape();
    long classes = shape[shape.length - 1];
    if (labels.size() != classes) {
      throw new PqvException(
          model.name + ": there are " + labels.size() + " labels for " + classes + " classes");
    }
  }

  /**
   * Opens a model among the app's assets.
   *
   * @throws PqvException there is none, it is no classifier that pqv exported, it has no labels, or
   *     the op library or onnxruntime does not fit it.
   */
  public static PqvClassifier fromAsset(Context context, String name) throws PqvException {
    return fromAsset(context, name, PqvOptions.DEFAULT);
  }

  /** As {@link #fromAsset(Context, String)}, with options. */
  public static PqvClassifier fromAsset(Context context, String name, PqvOptions options)
      throws PqvException {
    return of(open(context, name, options), options);
  }

  /**
   * Opens a file.
   *
   * @throws PqvException as {@link #fromAsset(Context, String)}.
   */
  public static PqvClassifier fromFile(File file) throws PqvException {
    return fromFile(file, PqvOptions.DEFAULT);
  }

  /** As {@link #fromFile(File)}, with options. */
  public static PqvClassifier fromFile(File file, PqvOptions options) throws PqvException {
    return of(open(file, options), options);
  }

  private static PqvClassifier of(Model model, PqvOptions options) throws PqvException {
    try {
      model.checkTask("logits");
      return new PqvClassifier(model, options);
    } catch (PqvException error) {
      model.close();
      throw error;
    }
  }

  private static List<String> readLabels(Model model) throws PqvException {
    String text = model.metadata.find("pqv.labels");
    if (text == null) {
      throw new PqvException(
          model.name + ": has no labels: pqv export --labels, or PqvOptions.withLabels, names them");
    }
    return Collections.unmodifiableList(Arrays.asList(text.split("\n", -1)));
  }

  /** The names of the classes, in their order. */
  public List<String> getLabels() {
    return labels;
  }

  /**
   * The likeliest classes of an image, the best first; waits for the answer.
   *
   * @param count how many to give at most.
   * @throws PqvException there is no image, or one that is too large; or onnxruntime fails.
   */
  public List<Classification> classify(Bitmap image, int count) throws PqvException {
    return call(image, logits -> Classification.best(logits, labels, count));
  }

  /**
   * As {@link #classify}, without waiting. The future fails with the same {@link PqvException};
   * what is chained to it without an executor may run on the model's thread.
   */
  public CompletableFuture<List<Classification>> classifyAsync(Bitmap image, int count) {
    return submit(image, logits -> Classification.best(logits, labels, count));
  }

  /** What the model gives for an image, a number for each class; as {@link #classify} otherwise. */
  public float[] logits(Bitmap image) throws PqvException {
    return call(image, logits -> logits);
  }
}
