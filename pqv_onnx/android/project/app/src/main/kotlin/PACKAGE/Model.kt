package @@{package}

import pqv.onnx.PqvOptions

/** The model of this app. */
object Model {
    /** Its name among the assets. */
    const val ASSET = "model.onnx"

    /** How it is opened: threads, op library, names of the classes. */
    val OPTIONS: PqvOptions = @@{options}
}
