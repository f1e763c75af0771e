package pqv.onnx;

import org.jspecify.annotations.Nullable;

/** What computes a model. The bits are the same, the speed is not. */
public final class Kernels {
  private final @Nullable String variant;
  private final @Nullable String reason;

  private Kernels(@Nullable String variant, @Nullable String reason) {
    this.variant = variant;
    this.reason = reason;
  }

  static Kernels library(String variant) {
    return new Kernels(variant, null);
  }

  static Kernels stock(String reason) {
    return new Kernels(null, reason);
  }

  /** The op library's kernels, such as "dotprod"; null if onnxruntime runs alone. */
  public @Nullable String getVariant() {
    return variant;
  }

  /** Why onnxruntime runs alone; null if the op library's kernels run. */
  public @Nullable String getReason() {
    return reason;
  }

  /** For people: "libpqv_ops, dotprod", or "stock onnxruntime: " and the reason. */
  @Override
  public String toString() {
    return variant != null ? "libpqv_ops, " + variant : "stock onnxruntime: " + reason;
  }
}
