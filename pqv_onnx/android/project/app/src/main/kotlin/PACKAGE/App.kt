package @@{package}

import android.app.Application

/** Keeps the model, and the last answer, while screens come and go. */
class App : Application() {
    val recognizer by lazy { Recognizer(this) }
}
