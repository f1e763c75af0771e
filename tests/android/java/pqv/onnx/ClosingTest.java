package pqv.onnx;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** The model's thread, and what is left when a model is closed. */
@RunWith(RobolectricTestRunner.class)
public class ClosingTest {
  private static final int COUNT = Integer.getInteger("pqv.opens");
  private static final long ALLOWED_KILOBYTES = 20_000;

  private static PqvClassifier open() throws PqvException {
    return open("float.onnx");
  }

  /** With a thread of onnxruntime's beside the model's, which a session that is left leaves. */
  private static PqvClassifier open(String name) throws PqvException {
    return PqvClassifier.fromFile(Samples.file(name), PqvOptions.DEFAULT.withThreads(2));
  }

  @Test
  public void twiceIsOnce() throws Exception {
    PqvClassifier classifier = open();
    classifier.close();
    classifier.close();
    Bitmap bitmap = Samples.plain("0.png");
    assertThrows(IllegalStateException.class, () -> classifier.logits(bitmap));
    assertThrows(IllegalStateException.class, () -> classifier.classifyAsync(bitmap, 1));
  }

  @Test
  public void whatWaitsIsAnswered() throws Exception {
    List<CompletableFuture<List<Classification>>> futures = new ArrayList<>();
    try (PqvClassifier classifier = open()) {
      for (int i = 0; i < 20; ++i) {
        futures.add(classifier.classifyAsync(Samples.plain(i + ".png"), 1));
      }
    }
    for (CompletableFuture<List<Classification>> future : futures) {
      assertTrue(future.isDone());
      assertEquals(1, future.get().size());
    }
  }

  /** Neither a second question nor closing waits for itself. */
  @Test
  public void onItsOwnThread() throws Exception {
    PqvClassifier classifier = open();
    Bitmap bitmap = Samples.plain("0.png");
    CompletableFuture<Integer> future =
        classifier.submit(
            bitmap,
            logits -> {
              int count = classifier.classify(bitmap, 2).size();
              classifier.close();
              return count;
            });
    assertEquals(2, (int) future.get());
    classifier.close();
  }

  @Test
  public void cancelled() throws Exception {
    try (PqvClassifier classifier = open()) {
      CountDownLatch hold = new CountDownLatch(1);
      Bitmap bitmap = Samples.plain("0.png");
      CompletableFuture<Boolean> first = classifier.submit(bitmap, logits -> await(hold));
      AtomicBoolean ran = new AtomicBoolean();
      CompletableFuture<Object> second =
          classifier.submit(bitmap, logits -> ran.getAndSet(true));
      second.cancel(false);
      hold.countDown();
      assertTrue(first.get());
      assertThrows(CancellationException.class, second::get);
      assertEquals(1, classifier.classify(bitmap, 1).size()); // behind the second's turn
      assertFalse(ran.get());
    }
  }

  private static boolean await(CountDownLatch latch) {
    try {
      return latch.await(10, TimeUnit.MINUTES);
    } catch (InterruptedException error) {
      throw new AssertionError(error);
    }
  }

  @Test
  public void interrupted() throws Exception {
    try (PqvClassifier classifier = open()) {
      CountDownLatch hold = new CountDownLatch(1); // else the answer may be there before the wait
      Bitmap bitmap = Samples.plain("0.png");
      CompletableFuture<Boolean> first = classifier.submit(bitmap, logits -> await(hold));
      Thread.currentThread().interrupt();
      Samples.assertRefused("interrupted while the model ran", () -> classifier.logits(bitmap));
      assertTrue(Thread.interrupted());
      hold.countDown();
      assertTrue(first.get());
    }
  }

  /** Memory, threads and files of the process after many models were opened, used and closed. */
  @Test
  public void nothingIsLeft() throws Exception {
    openAndClose(Math.max(20, COUNT / 4)); // the JVM takes memory until it knows what it needs
    int files = files();
    long threads = status("Threads");
    long memory = status("VmRSS");
    openAndClose(COUNT);
    long grown = status("VmRSS") - memory;
    System.out.println(COUNT + " models opened and closed: " + grown + " kB more");
    assertTrue(grown + " kB are left of " + COUNT, grown < ALLOWED_KILOBYTES);
    assertTrue(status("Threads") + " threads", status("Threads") < threads + 10);
    assertTrue(files() + " files", files() < files + 10);
  }

  private static void openAndClose(int count) throws Exception {
    Bitmap bitmap = Samples.plain("0.png");
    for (int i = 0; i < count; ++i) {
      try (PqvClassifier classifier = open()) {
        classifier.logits(bitmap);
      }
      String wrong = i % 2 == 0 ? "no labels.onnx" : "newer.onnx"; // opened, then refused
      assertThrows(PqvException.class, () -> open(wrong));
    }
    System.gc();
  }

  private static int files() {
    return new File("/proc/self/fd").list().length;
  }

  private static long status(String name) throws IOException {
    for (String line : Files.readAllLines(new File("/proc/self/status").toPath())) {
      if (line.startsWith(name + ":")) {
        return Long.parseLong(line.replaceAll("\\D+", ""));
      }
    }
    throw new IOException("/proc/self/status has no " + name);
  }
}
