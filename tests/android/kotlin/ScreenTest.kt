package org.example.myapp

import android.app.Activity
import android.app.Application
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import androidx.test.platform.app.InstrumentationRegistry
import java.io.File
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** The app's screen, drawn; and what the tests for a phone cannot have. */
@RunWith(RobolectricTestRunner::class)
class ScreenTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val context get() = instrumentation.targetContext
    private val recognizer get() = (context.applicationContext as App).recognizer
    private lateinit var activity: Activity

    @Before
    fun open() {
        val intent = Intent(context, MainActivity::class.java)
        activity = instrumentation.startActivitySync(intent.addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
    }

    /** The next test finds no task of this one. */
    @After
    fun close() {
        awaitTheModel()
        onMain { activity.finish() }
    }

    @Test
    fun aPhotoThatTheModelIsNotReadyFor() {
        photo.copyTo(File(context.cacheDir, "photo.jpg"), overwrite = true)
        val states = mutableListOf<State>()
        lateinit var early: Recognizer
        onMain {
            early = Recognizer(context)
            early.listener = { states += it }
            early.recognize(PhotoProvider.uri(context))
        }
        await { early.state.isBusy }
        assertFalse(early.state.answer!!.best.isEmpty())
        assertEquals(listOf(true, false), states.map { it.isBusy })
    }

    @Test
    fun day() = draw("day")

    @Test
    @Config(qualifiers = "+night")
    fun night() = draw("night")

    @Test
    @Config(qualifiers = "+w891dp-h411dp-land")
    fun across() = draw("across")

    @Test
    fun empty() {
        awaitTheModel()
        save("empty")
    }

    @Test
    fun aPhotoOfTheCamera() {
        awaitTheModel()
        onMain { activity.findViewById<View>(R.id.take).performClick() }
        val asked = shadowOf(activity).nextStartedActivityForResult
        val target = asked.intent.clipData!!.getItemAt(0).uri
        context.contentResolver.openOutputStream(target)!!.use { it.write(photo.readBytes()) }
        onMain { shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, null) }
        awaitTheModel()
        assertNull(recognizer.state.error)
        assertFalse(recognizer.state.answer!!.best.isEmpty())
    }

    @Test
    fun aFileThatIsNotThere() {
        onMain { recognizer.recognize(PhotoProvider.uri(context)) }
        awaitTheModel()
        assertEquals(context.getString(R.string.unreadable), shown())
    }

    @Test
    fun noCamera() {
        awaitTheModel()
        shadowOf(context as Application).checkActivities(true)
        onMain { activity.findViewById<View>(R.id.take).performClick() }
        assertEquals(context.getString(R.string.no_app), shown())
    }

    @Test
    fun aHugePhotoIsReduced() {
        val bitmap = Bitmap.createBitmap(6000, 3000, Bitmap.Config.ARGB_8888)
        val file = File(context.cacheDir, "photo.jpg")
        file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.JPEG, 50, it) }
        val read = Photos.read(context.contentResolver, PhotoProvider.uri(context))
        assertEquals(3000 to 1500, read.width to read.height)
        assertEquals(1280, Photos.toShow(read).width)
    }

    private val photo get() = File(System.getProperty("pqv.photo"))

    private fun draw(name: String) {
        photo.copyTo(File(context.cacheDir, "photo.jpg"), overwrite = true)
        onMain { recognizer.recognize(PhotoProvider.uri(context)) }
        awaitTheModel()
        assertNull(recognizer.state.error)
        val classes = recognizer.state.answer!!.best.map { it.index }
        assertEquals(System.getProperty("pqv.classes"), classes.joinToString(" "))
        assertEquals(classes.size, activity.findViewById<ViewGroup>(R.id.rows).childCount)
        save(name)
    }

    private fun save(name: String) {
        lateinit var bitmap: Bitmap
        onMain {
            val view = activity.window.decorView
            bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
            view.draw(Canvas(bitmap))
        }
        File(System.getProperty("pqv.pictures"), "$name.png").outputStream().use {
            bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)
        }
    }

    private fun shown() = activity.findViewById<TextView>(R.id.message).text

    private fun awaitTheModel() = await { recognizer.state.isBusy }

    // Asked on the main thread: there, a state that is no longer busy is on the screen, too.
    private fun await(isBusy: () -> Boolean) {
        val deadline = System.nanoTime() + 120_000_000_000
        var busy = true
        while (busy) {
            Thread.sleep(10)
            onMain { busy = isBusy() }
            assertTrue("the model does not answer", System.nanoTime() < deadline)
        }
        instrumentation.waitForIdleSync() // so that it is laid out
    }

    private fun onMain(task: () -> Unit) = instrumentation.runOnMainSync { task() }
}
