package @@{package}

import android.annotation.TargetApi
import android.app.Activity
import android.graphics.Typeface
import android.os.Build
import android.view.View
import android.view.ViewGroup
import android.view.WindowInsets
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.TextView
import java.text.NumberFormat
import kotlin.math.roundToInt
import pqv.onnx.Classification

/** The views of the activity, and how they show a state. */
class Screen(private val activity: Activity) {
    private val photo: ImageView = activity.findViewById(R.id.photo)
    private val message: TextView = activity.findViewById(R.id.message)
    private val rows: ViewGroup = activity.findViewById(R.id.rows)
    private val milliseconds: TextView = activity.findViewById(R.id.milliseconds)
    private val kernels: TextView = activity.findViewById(R.id.kernels)
    private val busy: View = activity.findViewById(R.id.busy)
    private val buttons = listOf<View>(
        activity.findViewById(R.id.pick),
        activity.findViewById(R.id.take),
    )
    private val percent = NumberFormat.getPercentInstance().apply {
        minimumFractionDigits = 1
        maximumFractionDigits = 1
    }
    private val number = NumberFormat.getNumberInstance().apply {
        minimumFractionDigits = 1
        maximumFractionDigits = 1
    }

    init {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) keepClearOfBars()
    }

    /** Phones of Android 15 and newer draw apps behind their bars and their camera. */
    @TargetApi(Build.VERSION_CODES.R)
    private fun keepClearOfBars() {
        val covered = WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout()
        activity.findViewById<View>(R.id.screen).setOnApplyWindowInsetsListener { view, insets ->
            val edges = insets.getInsets(covered)
            view.setPadding(edges.left, edges.top, edges.right, edges.bottom)
            insets
        }
    }

    fun show(state: State) {
        busy.visibility = visible(state.isBusy)
        buttons.forEach { it.isEnabled = !state.isBusy }
        showPhoto(state)
        showMessage(state)
        rows.removeAllViews()
        state.answer?.best?.forEachIndexed { place, found -> addRow(place, found) }
        milliseconds.visibility = visible(state.answer != null)
        kernels.visibility = visible(state.answer != null)
        state.answer?.let {
            val time = number.format(it.milliseconds)
            milliseconds.text = activity.getString(R.string.milliseconds, time)
            kernels.text = it.kernels
        }
    }

    private fun showPhoto(state: State) {
        if (state.photo == null) {
            photo.setImageResource(R.drawable.picture)
            photo.scaleType = ImageView.ScaleType.CENTER
            photo.contentDescription = activity.getString(R.string.no_photo)
        } else {
            photo.setImageBitmap(state.photo)
            photo.scaleType = ImageView.ScaleType.FIT_CENTER
            photo.contentDescription = activity.getString(R.string.photo)
        }
    }

    private fun showMessage(state: State) {
        val text = state.error ?: activity.getString(R.string.hint)
        val color = if (state.error != null) R.color.error else R.color.quiet
        message.text = text
        message.setTextColor(activity.getColor(color))
        message.visibility = visible(state.error != null || state.answer == null && !state.isBusy)
    }

    private fun addRow(place: Int, found: Classification) {
        val row = activity.layoutInflater.inflate(R.layout.row, rows, false)
        val label: TextView = row.findViewById(R.id.label)
        val share: TextView = row.findViewById(R.id.percent)
        label.text = found.label
        share.text = percent.format(found.probability)
        if (place == 0) {
            label.typeface = Typeface.DEFAULT_BOLD
            share.typeface = Typeface.DEFAULT_BOLD
        }
        val bar: ProgressBar = row.findViewById(R.id.bar)
        bar.progress = (bar.max * found.probability).roundToInt()
        row.contentDescription = activity.getString(R.string.answer, label.text, share.text)
        rows.addView(row)
    }

    private fun visible(yes: Boolean) = if (yes) View.VISIBLE else View.GONE
}
