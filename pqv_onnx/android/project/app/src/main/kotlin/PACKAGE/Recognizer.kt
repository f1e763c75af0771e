package @@{package}

import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import android.os.Handler
import android.os.Looper
import java.io.IOException
import java.util.concurrent.Executors
import pqv.onnx.PqvClassifier
import pqv.onnx.PqvException

/** Runs the model on a thread of its own; everything public here belongs to the main thread. */
class Recognizer(private val context: Context) {
    private val worker = Executors.newSingleThreadExecutor()
    private val main = Handler(Looper.getMainLooper())
    private var tasks = 0

    // Where opening fails, the next photo tries again, and has the same sentence on the screen.
    private val classifier by lazy { PqvClassifier.fromAsset(context, Model.ASSET, Model.OPTIONS) }

    var state = State()
        private set(made) {
            field = made
            listener?.invoke(made)
        }

    /** Whether there was a photo since the app was started. */
    var hasPhoto = false
        private set

    /** Told of every new state. */
    var listener: ((State) -> Unit)? = null

    init {
        work(State(isBusy = true)) {
            // The first run prepares what later ones find ready: it is not for a photo to wait for.
            classifier.classify(Bitmap.createBitmap(64, 64, Bitmap.Config.ARGB_8888), 1)
            State()
        }
    }

    /** Names what a picture shows. */
    fun recognize(picture: Uri) {
        hasPhoto = true
        work(state.copy(isBusy = true, error = null)) {
            val photo = Photos.read(context.contentResolver, picture)
            val begin = System.nanoTime()
            val best = classifier.classify(photo, ANSWERS)
            val milliseconds = 1e-6 * (System.nanoTime() - begin)
            val answer = Answer(best, milliseconds, classifier.kernels.toString())
            State(photo = Photos.toShow(photo), answer = answer)
        }
    }

    /** Shows a sentence beside what is there. */
    fun fail(sentence: String) {
        state = state.copy(error = sentence)
    }

    // Of tasks that wait for each other the last one's state is shown: until then it is busy.
    private fun work(meanwhile: State, task: () -> State) {
        state = meanwhile
        val number = ++tasks
        worker.execute {
            val made = try {
                task()
            } catch (error: PqvException) {
                State(error = error.message)
            } catch (_: IOException) {
                State(error = context.getString(R.string.unreadable))
            } catch (_: SecurityException) { // what lent the picture takes it back some day
                State(error = context.getString(R.string.unreadable))
            } catch (_: OutOfMemoryError) {
                State(error = context.getString(R.string.too_large))
            }
            main.post { if (number == tasks) state = made }
        }
    }

    private companion object {
        const val ANSWERS = 5
    }
}
