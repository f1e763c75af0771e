/** Models that pqv exported, in an app with onnxruntime. */
@NullMarked
package pqv.onnx;

import org.jspecify.annotations.NullMarked;
