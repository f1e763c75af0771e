"""The demo: a small Vision Transformer on handwritten digits, from training to onnxruntime."""
