"""Running exported models with onnxruntime: the op library and sessions that use it."""
