package pqv.onnx;

import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** The thread that a model runs on: one task after another. */
final class ModelThread {
  private final AtomicBoolean closed = new AtomicBoolean();
  private volatile @Nullable Thread thread;

  private final ExecutorService executor =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread made = new Thread(task, "pqv");
            made.setDaemon(true);
            thread = made;
            return made;
          });

  /**
   * Puts a task behind those that wait.
   *
   * @return what becomes of it; one that was cancelled before its turn does not run.
   * @throws IllegalStateException the thread was closed.
   */
  <T> CompletableFuture<T> submit(Callable<T> task) {
    CompletableFuture<T> future = new CompletableFuture<>();
    try {
      executor.execute(() -> complete(future, task));
    } catch (RejectedExecutionException error) {
      throw new IllegalStateException("the model is closed", error);
    }
    return future;
  }

  private static <T> void complete(CompletableFuture<T> future, Callable<T> task) {
    if (future.isDone()) {
      return;
    }
    try {
      future.complete(task.call());
    } catch (Throwable error) { // an image may take more memory than there is
      future.completeExceptionally(error);
    }
  }

  /**
   * Runs a task and waits for it; at once where this thread itself asks.
   *
   * @throws PqvException the task fails, or the thread that waits is interrupted.
   */
  <T> T call(Callable<T> task) throws PqvException {
    CompletableFuture<T> future = new CompletableFuture<>();
    if (isThis()) {
      complete(future, task);
    } else {
      future = submit(task);
    }
    try {
      return future.get();
    } catch (InterruptedException error) {
      future.cancel(false);
      Thread.currentThread().interrupt();
      throw new PqvException("interrupted while the model ran", error);
    } catch (ExecutionException error) {
      throw rethrown(error.getCause());
    }
  }

  private static PqvException rethrown(@Nullable Throwable cause) {
    if (cause instanceof Error) {
      throw (Error) cause;
    }
    if (cause instanceof RuntimeException) {
      throw (RuntimeException) cause;
    }
    return (PqvException) cause; // tasks throw nothing else
  }

  /** Runs a last task behind those that wait, and waits for it, except on this thread itself. */
  void close(Runnable last) {
    if (closed.getAndSet(true)) {
      return;
    }
    executor.execute(last);
    executor.shutdown();
    boolean interrupted = false;
    while (!isThis() && !executor.isTerminated()) {
      try {
        executor.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException error) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean isThis() {
    return Thread.currentThread() == thread;
  }
}
