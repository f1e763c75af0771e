package pqv.onnx;

import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** The entries of a model's metadata, by the rules of docs/metadata.md. */
final class Metadata {
  /** Between which numbers one must lie, and how a sentence says so. */
  static final class Limits {
    final double low;
    final double high;
    final boolean whole;
    final String text;

    Limits(double low, double high, boolean whole, String text) {
      this.low = low;
      this.high = high;
      this.whole = whole;
      this.text = text;
    }
  }

  private static final int SHOWN = 40;
  private static final String SPACE = "[ \\t\\n\\r]*+";

  /** A number as JSON has it (RFC 8259, section 6). */
  private static final Pattern NUMBER =
      Pattern.compile("-?(0|[1-9][0-9]*+)(\\.[0-9]++)?([eE][-+]?[0-9]++)?");

  private static final Pattern WHOLE = Pattern.compile("-?[0-9]++");
  private final Map<String, String> entries;

  Metadata(Map<String, String> entries) {
    this.entries = entries;
  }

  @Nullable String find(String key) {
    return entries.get(key);
  }

  String get(String key) throws PqvException {
    String value = entries.get(key);
    if (value == null) {
      throw new PqvException("the model's metadata has no " + key + ": pqv export writes it");
    }
    return value;
  }

  double number(String key, Limits limits) throws PqvException {
    String text = strip(get(key));
    if (!NUMBER.matcher(text).matches()) {
      throw wrong(key, "is '" + shown(get(key)) + "'", "a number");
    }
    return check(key, text, limits);
  }

  /** The numbers of a list. */
  double[] numbers(String key, Limits limits) throws PqvException {
    String[] texts = list(key);
    double[] values = new double[texts.length];
    for (int i = 0; i < values.length; ++i) {
      values[i] = check(key, texts[i], limits);
    }
    return values;
  }

  /** Which of some words an entry is. */
  String choose(String key, String... allowed) throws PqvException {
    String found = get(key);
    for (String word : allowed) {
      if (word.equals(found)) {
        return word;
      }
    }
    throw wrong(key, "is '" + shown(found) + "'", String.join(" or ", allowed));
  }

  private String[] list(String key) throws PqvException {
    String text = strip(get(key));
    boolean isList = text.length() > 1 && text.startsWith("[") && text.endsWith("]");
    String inner = isList ? strip(text.substring(1, text.length() - 1)) : "";
    String[] texts = inner.isEmpty() ? new String[0] : inner.split(",", -1);
    for (int i = 0; i < texts.length; ++i) {
      texts[i] = strip(texts[i]);
      isList &= NUMBER.matcher(texts[i]).matches();
    }
    if (!isList) {
      throw wrong(key, "is '" + shown(text) + "'", "a list of numbers");
    }
    return texts;
  }

  private static double check(String key, String text, Limits limits) throws PqvException {
    double value = Double.parseDouble(text);
    boolean fits = value >= limits.low && value <= limits.high;
    if (!fits || limits.whole && !WHOLE.matcher(text).matches()) {
      throw wrong(key, "has " + shown(text), limits.text);
    }
    return value;
  }

  static PqvException wrong(String key, String found, String expected) {
    return new PqvException("the model's " + key + " " + found + ", expected " + expected);
  }

  private static String strip(String text) {
    return text.replaceFirst("^" + SPACE, "").replaceFirst("[ \\t\\n\\r]+\\z", "");
  }

  private static String shown(String text) {
    return text.length() <= SHOWN ? text : text.substring(0, SHOWN);
  }
}
