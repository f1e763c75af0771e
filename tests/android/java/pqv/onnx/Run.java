package pqv.onnx;

import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs classes of tests, named by the arguments, and prints a line for each test. */
final class Run extends RunListener {
  private boolean failed;

  public static void main(String[] names) throws Exception {
    Class<?>[] classes = new Class<?>[names.length];
    for (int i = 0; i < names.length; ++i) {
      classes[i] = Class.forName(names[i]);
    }
    JUnitCore core = new JUnitCore();
    core.addListener(new Run());
    core.run(classes);
    System.exit(0); // whatever threads a test has left
  }

  private long began;

  @Override
  public void testStarted(Description test) {
    failed = false;
    began = System.nanoTime();
  }

  @Override
  public void testFailure(Failure failure) {
    failed = true;
    System.out.println(failure.getTrace());
  }

  @Override
  public void testFinished(Description test) {
    System.out.printf(
        "%s %s.%s %.1f s%n",
        failed ? "FAILED" : "passed", test.getTestClass().getSimpleName(), test.getMethodName(),
        1e-9 * (System.nanoTime() - began));
  }
}
