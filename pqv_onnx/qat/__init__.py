"""Quantization-aware training: float modules that imitate the integer arithmetic."""
