package pqv.onnx;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A class that a model sees in an image, with its name and how sure the model is of it. */
public final class Classification {
  /** The number of the class, from 0. */
  public final int index;

  /** The name of the class. */
  public final String label;

  /** The softmax of the logits, between 0 and 1. */
  public final double probability;

  private Classification(int index, String label, double probability) {
    this.index = index;
    this.label = label;
    this.probability = probability;
  }

  /** For people: "zebra 97.3%". */
  @Override
  public String toString() {
    return String.format(Locale.ROOT, "%s %.1f%%", label, 100 * probability);
  }

  /** The classes of the highest logits, the lower class first where two are equal. */
  static List<Classification> best(float[] logits, List<String> labels, int count) {
    double[] probabilities = softmax(logits);
    boolean[] taken = new boolean[logits.length];
    List<Classification> found = new ArrayList<>();
    while (found.size() < Math.min(count, logits.length)) {
      int best = -1;
      for (int i = 0; i < logits.length; ++i) {
        if (!taken[i] && (best < 0 || logits[i] > logits[best])) {
          best = i;
        }
      }
      taken[best] = true;
      found.add(new Classification(best, labels.get(best), probabilities[best]));
    }
    return found;
  }

  private static double[] softmax(float[] logits) {
    double largest = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      largest = Math.max(largest, logit);
    }
    double sum = 0;
    double[] shares = new double[logits.length];
    for (int i = 0; i < logits.length; ++i) {
      shares[i] = Math.exp(logits[i] - largest);
      sum += shares[i];
    }
    for (int i = 0; i < logits.length; ++i) {
      shares[i] /= sum;
    }
    return shares;
  }
}
