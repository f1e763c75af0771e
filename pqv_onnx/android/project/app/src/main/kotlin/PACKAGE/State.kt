package @@{package}

import android.graphics.Bitmap
import pqv.onnx.Classification

/** What the screen shows. */
data class State(
    val isBusy: Boolean = false,
    val photo: Bitmap? = null,
    val answer: Answer? = null,
    /** One sentence that says what went wrong. */
    val error: String? = null,
)

/** The likeliest classes, the best first; how long they took; what computed them. */
class Answer(val best: List<Classification>, val milliseconds: Double, val kernels: String)
