"""``python -m pqv_onnx`` is ``pqv``."""

from pqv_onnx.cli.main import main

if __name__ == "__main__":
    main()
