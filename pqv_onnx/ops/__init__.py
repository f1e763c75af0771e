"""The op domain `pqv`: its table, fixed-point parameters, torch ops and ONNX functions."""
