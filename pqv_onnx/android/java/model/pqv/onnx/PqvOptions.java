package pqv.onnx;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How a model is opened. Options do not change: each method gives new ones. */
public final class PqvOptions {
  /** What becomes of the op library. */
  public enum Ops {
    /** The library's kernels run; where it cannot be loaded, onnxruntime alone, to the same bits. */
    PREFERRED,
    /** Where the library cannot be loaded, or the model has no op for it, opening fails. */
    REQUIRED,
    /** onnxruntime alone runs the definitions of the ops that the model carries, slower. */
    UNUSED
  }

  /** Threads as onnxruntime chooses them, the op library where it is, the model's own labels. */
  public static final PqvOptions DEFAULT = new PqvOptions(0, Ops.PREFERRED, null);

  final int threads;
  final Ops ops;
  final @Nullable List<String> labels;

  private PqvOptions(int threads, Ops ops, @Nullable List<String> labels) {
    this.threads = threads;
    this.ops = ops;
    this.labels = labels;
  }

  /**
   * How many threads compute one image; any number gives the same bits.
   *
   * @param threads from 1 on, or 0 for one per core, onnxruntime's choice.
   * @throws IllegalArgumentException there are less than 0.
   */
  public PqvOptions withThreads(int threads) {
    if (threads < 0) {
      throw new IllegalArgumentException("found " + threads + " threads, expected 0 or more");
    }
    return new PqvOptions(threads, ops, labels);
  }

  /** What becomes of the op library. */
  public PqvOptions withOps(Ops ops) {
    return new PqvOptions(threads, ops, labels);
  }

  /** Names of the classes in the place of those in the model's file, in their order. */
  public PqvOptions withLabels(List<String> labels) {
    return new PqvOptions(threads, ops, Collections.unmodifiableList(new ArrayList<>(labels)));
  }
}
