package @@{package}

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.View

/** Asks for a photo and shows what the model makes of it. */
class MainActivity : Activity() {
    private val recognizer get() = (application as App).recognizer
    private lateinit var screen: Screen
    private var picture: String? = null

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.main)
        screen = Screen(this)
        findViewById<View>(R.id.pick).setOnClickListener { ask(Photos.pick(), PICK) }
        findViewById<View>(R.id.take).setOnClickListener { ask(Photos.take(this), TAKE) }
        // Turned, the app still has its answer. Where Android ended it meanwhile, it asks once more.
        picture = saved?.getString(PICTURE)
        if (!recognizer.hasPhoto) picture?.let { recognizer.recognize(Uri.parse(it)) }
    }

    override fun onStart() {
        super.onStart()
        recognizer.listener = screen::show
        screen.show(recognizer.state)
    }

    override fun onStop() {
        recognizer.listener = null
        super.onStop()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(PICTURE, picture)
    }

    private fun ask(intent: Intent, request: Int) {
        try {
            startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            recognizer.fail(getString(R.string.no_app))
        }
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        if (result != RESULT_OK) return
        val found = if (request == TAKE) PhotoProvider.uri(this) else data?.data
        found?.let {
            picture = it.toString()
            recognizer.recognize(it)
        }
    }

    private companion object {
        const val PICK = 1
        const val TAKE = 2
        const val PICTURE = "picture"
    }
}
