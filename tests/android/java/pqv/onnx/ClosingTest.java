package pqv.onnx;

import static org.junit.Assert.assertEquals;
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
    CountDownLatch chained = new CountDownLatch(1);
    CompletableFuture<Integer> future =
        classifier
            .classifyAsync(bitmap, 1)
            .thenApply(
                best -> {
                  try {
                    chained.await();
                    int count = classifier.classify(bitmap, 2).size();
                    classifier.close();
                    return count;
                  } catch (Exception error) {
                    throw new AssertionError(error);
                  }
                });
    chained.countDown();
    assertEquals(2, (int) future.get());
    classifier.close();
  }

  @Test
  public void cancelled() throws Exception {
    try (PqvClassifier classifier = open()) {
      CountDownLatch hold = new CountDownLatch(1);
      Bitmap bitmap = Samples.plain("0.png");
      CompletableFuture<Void> first =
          classifier.classifyAsync(bitmap, 1).thenAccept(best -> await(hold));
      CompletableFuture<List<Classification>> second = classifier.classifyAsync(bitmap, 1);
      second.cancel(false);
      hold.countDown();
      first.get();
      assertThrows(CancellationException.class, second::get);
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException error) {
      throw new AssertionError(error);
    }
  }

  @Test
  public void interrupted() throws Exception {
    try (PqvClassifier classifier = open()) {
      Bitmap bitmap = Samples.plain("0.png");
      Thread.currentThread().interrupt();
      Samples.assertRefused("interrupted while the model ran", () -> classifier.logits(bitmap));
      assertTrue(Thread.interrupted());
    }
  }

  /** Memory, threads and files of the process after many models were opened, used and closed. */
  @Test
  public void nothingIsLeft() throws Exception {
    openAndClose(20);
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
