package @@{package}

import android.app.Activity
import android.app.Instrumentation
import android.content.Intent
import android.content.IntentFilter
import android.graphics.Bitmap
import android.graphics.Color
import android.net.Uri
import android.view.View
import android.view.ViewGroup
import android.widget.ImageView
import android.widget.ScrollView
import android.widget.TextView
import androidx.test.platform.app.InstrumentationRegistry
import java.io.ByteArrayOutputStream
import java.io.File
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test

/** From a tap to the answers on the screen. The picker is played; the model is the app's. */
class MainActivityTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val context get() = instrumentation.targetContext
    private lateinit var activity: Activity

    @Before
    fun open() {
        val intent = Intent(context, MainActivity::class.java)
        activity = instrumentation.startActivitySync(intent.addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
        awaitState { !it.isBusy }
    }

    @After
    fun close() = onMain { activity.finish() }

    @Test
    fun aPhotoIsNamed() {
        choose(write(picture(200, 120)))
        assertEquals(View.GONE, find<View>(R.id.message).visibility)
        assertTrue(rows().isNotEmpty())
        assertTrue(rows().all { "%" in it.contentDescription })
        assertEquals(200, find<ImageView>(R.id.photo).drawable.intrinsicWidth)
        assertTrue(find<TextView>(R.id.milliseconds).text.endsWith(" ms"))
        assertTrue(find<TextView>(R.id.kernels).text.isNotEmpty())
    }

    @Test
    fun aTurnedPhoneKeepsTheAnswer() {
        choose(write(picture(64, 64)))
        val before = rows().map { it.contentDescription }
        val monitor = instrumentation.addMonitor(MainActivity::class.java.name, null, false)
        onMain { activity.recreate() }
        activity = monitor.waitForActivityWithTimeout(SECONDS * 1000L)
        instrumentation.removeMonitor(monitor)
        instrumentation.waitForIdleSync()
        assertEquals(before, rows().map { it.contentDescription })
    }

    @Test
    fun aBrokenFileIsASentence() {
        choose(write(ByteArray(0)))
        assertEquals(context.getString(R.string.unreadable), find<TextView>(R.id.message).text)
        assertEquals(0, rows().size)
        choose(write(picture(64, 64))) // and the app goes on
        assertTrue(rows().isNotEmpty())
    }

    @Test
    fun everythingHasWords() {
        choose(write(picture(64, 64)))
        val silent = all(find(R.id.screen)).filter {
            it.isFocusable && it !is ScrollView && words(it).isEmpty()
        }
        assertEquals(emptyList<View>(), silent)
        assertTrue(find<View>(R.id.photo).contentDescription.isNotEmpty())
    }

    /** Taps the button, and has this picture chosen. */
    private fun choose(picture: Uri) {
        val result = Instrumentation.ActivityResult(Activity.RESULT_OK, Intent().setData(picture))
        val filter = IntentFilter(Photos.pick().action).apply { addDataType("image/*") }
        val monitor = instrumentation.addMonitor(filter, result, true)
        val before = state()
        onMain { find<View>(R.id.pick).performClick() }
        // The picture comes some time after the tap: until then nothing is busy.
        awaitState { it !== before && !it.isBusy }
        assertEquals(1, monitor.hits)
        instrumentation.removeMonitor(monitor)
    }

    private fun awaitState(isAwaited: (State) -> Boolean) {
        val deadline = System.nanoTime() + SECONDS * 1_000_000_000L
        do {
            Thread.sleep(20)
            instrumentation.waitForIdleSync()
            assertTrue("the model took $SECONDS s", System.nanoTime() < deadline)
        } while (!isAwaited(state()))
    }

    private fun state(): State {
        lateinit var found: State
        onMain { found = (context.applicationContext as App).recognizer.state }
        return found
    }

    /** An address of a file with these bytes. */
    private fun write(bytes: ByteArray): Uri {
        File(context.cacheDir, "photo.jpg").writeBytes(bytes)
        return PhotoProvider.uri(context)
    }

    private fun picture(width: Int, height: Int): ByteArray {
        val bitmap = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        bitmap.eraseColor(Color.rgb(200, 120, 40))
        val file = ByteArrayOutputStream()
        bitmap.compress(Bitmap.CompressFormat.JPEG, 95, file)
        return file.toByteArray()
    }

    private fun rows(): List<View> = find<ViewGroup>(R.id.rows).let { group ->
        List(group.childCount) { group.getChildAt(it) }
    }

    private fun all(view: View): List<View> =
        if (view is ViewGroup) {
            listOf(view) + (0 until view.childCount).flatMap { all(view.getChildAt(it)) }
        } else {
            listOf(view)
        }

    private fun words(view: View): CharSequence =
        (view as? TextView)?.text ?: view.contentDescription ?: ""

    private fun <T : View> find(id: Int): T = activity.findViewById(id)

    private fun onMain(task: () -> Unit) = instrumentation.runOnMainSync { task() }

    private companion object {
        const val SECONDS = 60
    }
}
