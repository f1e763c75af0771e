package @@{package}

import android.annotation.TargetApi
import android.content.ClipData
import android.content.ContentResolver
import android.content.Context
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ImageDecoder
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import android.os.Build
import android.os.ext.SdkExtensions
import android.provider.MediaStore
import java.io.ByteArrayInputStream
import java.io.IOException
import java.nio.ByteBuffer
import kotlin.math.max
import kotlin.math.roundToInt

/** Where pictures come from, without a permission, and how a file becomes a bitmap. */
object Photos {
    private const val MOST_PIXELS = 1L shl 24
    private const val SHOWN_SIDE = 1280

    /** Asks for one picture: the photo picker, or the file picker where there is no such. */
    fun pick(): Intent =
        if (hasPicker()) {
            Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*")
        } else {
            Intent(Intent.ACTION_OPEN_DOCUMENT)
                .addCategory(Intent.CATEGORY_OPENABLE)
                .setType("image/*")
        }

    private fun hasPicker(): Boolean =
        Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU ||
            Build.VERSION.SDK_INT >= Build.VERSION_CODES.R &&
            SdkExtensions.getExtensionVersion(Build.VERSION_CODES.R) >= 2

    /** Asks the camera app for a photo, which it writes to [PhotoProvider]. */
    fun take(context: Context): Intent {
        val target = PhotoProvider.uri(context)
        val access = Intent.FLAG_GRANT_READ_URI_PERMISSION or Intent.FLAG_GRANT_WRITE_URI_PERMISSION
        return Intent(MediaStore.ACTION_IMAGE_CAPTURE)
            .putExtra(MediaStore.EXTRA_OUTPUT, target)
            .addFlags(access)
            .apply { clipData = ClipData.newRawUri("", target) }
    }

    /**
     * The picture as it is to be looked at, turned as its EXIF data say. One of very many pixels
     * comes at a half, a third ... of its size.
     *
     * Throws IOException where there is none that this phone can decode.
     */
    fun read(resolver: ContentResolver, picture: Uri): Bitmap {
        val file = resolver.openInputStream(picture)?.use { it.readBytes() } ?: ByteArray(0)
        return if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
            decode(file)
        } else {
            turned(decodeBeforeP(file), file)
        }
    }

    @TargetApi(Build.VERSION_CODES.P)
    private fun decode(file: ByteArray): Bitmap {
        val source = ImageDecoder.createSource(ByteBuffer.wrap(file))
        return ImageDecoder.decodeBitmap(source) { decoder, info, _ ->
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
            decoder.setTargetSampleSize(reduction(info.size.width, info.size.height))
        }
    }

    private fun decodeBeforeP(file: ByteArray): Bitmap {
        val options = BitmapFactory.Options()
        options.inJustDecodeBounds = true
        BitmapFactory.decodeByteArray(file, 0, file.size, options)
        options.inSampleSize = reduction(options.outWidth, options.outHeight)
        options.inJustDecodeBounds = false
        return BitmapFactory.decodeByteArray(file, 0, file.size, options)
            ?: throw IOException("not an image")
    }

    private fun reduction(width: Int, height: Int): Int =
        generateSequence(1) { it + 1 }
            .first { width.toLong() * height <= MOST_PIXELS * it * it }

    private fun turned(bitmap: Bitmap, file: ByteArray): Bitmap {
        val matrix = Matrix()
        when (orientation(file)) {
            ExifInterface.ORIENTATION_FLIP_HORIZONTAL -> matrix.setScale(-1f, 1f)
            ExifInterface.ORIENTATION_ROTATE_180 -> matrix.setRotate(180f)
            ExifInterface.ORIENTATION_FLIP_VERTICAL -> matrix.setScale(1f, -1f)
            ExifInterface.ORIENTATION_TRANSPOSE -> {
                matrix.setRotate(90f)
                matrix.postScale(-1f, 1f)
            }
            ExifInterface.ORIENTATION_ROTATE_90 -> matrix.setRotate(90f)
            ExifInterface.ORIENTATION_TRANSVERSE -> {
                matrix.setRotate(-90f)
                matrix.postScale(-1f, 1f)
            }
            ExifInterface.ORIENTATION_ROTATE_270 -> matrix.setRotate(-90f)
            else -> return bitmap
        }
        return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, matrix, false)
    }

    private fun orientation(file: ByteArray): Int =
        try {
            ExifInterface(ByteArrayInputStream(file)).getAttributeInt(
                ExifInterface.TAG_ORIENTATION,
                ExifInterface.ORIENTATION_NORMAL,
            )
        } catch (_: IOException) { // a kind of file that has no EXIF data
            ExifInterface.ORIENTATION_NORMAL
        }

    /** The picture at no more pixels than a screen has. */
    fun toShow(photo: Bitmap): Bitmap {
        val scale = SHOWN_SIDE.toDouble() / max(photo.width, photo.height)
        if (scale >= 1) return photo
        val width = max(1, (photo.width * scale).roundToInt())
        val height = max(1, (photo.height * scale).roundToInt())
        return Bitmap.createScaledBitmap(photo, width, height, true)
    }
}
