"""Models that decode JPEG and PNG files themselves, by an op of onnxruntime-extensions.

Its decoder ends the process on bytes that are no image, and waits for ever for the rest of a JPEG
file that is cut off: what a model is given is decoded by Pillow first.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.images import PHOTO, check_encoded

DOMAIN = "com.microsoft.extensions"


def register_extensions(options: onnxruntime.SessionOptions) -> None:
    """Register the ops of onnxruntime-extensions.

    Raises:
        PqvError: they are not installed.
    """
    try:
        import onnxruntime_extensions
    except ModuleNotFoundError as error:
        raise PqvError(
            "the model decodes images itself: pip install onnxruntime-extensions, "
            "which is there for Python up to 3.13"
        ) from error
    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())


def encoded_photo(seed: int = 0) -> np.ndarray:
    """A made-up photo as the bytes of a JPEG file, uint8 [N], for timing and verifying."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*PHOTO, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return np.frombuffer(file.getvalue(), np.uint8)


class Session(onnxruntime.InferenceSession):
    """A session that looks at files before a model decodes them.

    Attributes:
        entries: the model's metadata, read once: it may be large.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open a model; see onnxruntime.

        Raises:
            PqvError: its metadata is no text.
        """
        super().__init__(*args, **kwargs)
        try:
            self.entries: Mapping[str, str] = self.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise PqvError("its metadata is not UTF-8") from error
        self._decodes = self.entries.get("pqv.input") == "encoded"

    def run(self, output_names: Any, input_feed: Mapping[str, Any], run_options: Any = None) -> Any:
        """Run the model; see onnxruntime.

        Raises:
            PqvError: see `check_encoded`.
        """
        if self._decodes:
            for data in input_feed.values():
                check_encoded(data)
        return super().run(output_names, input_feed, run_options)


def _looking_first(name: str) -> Callable[..., Any]:
    """A way to run that hands on values which cannot be looked at."""
    run = getattr(onnxruntime.InferenceSession, name)

    @functools.wraps(run)
    def checked(session: Session, *args: Any, **kwargs: Any) -> Any:
        if session._decodes:
            raise PqvError(f"{name} would not look at an image file first: use run")
        return run(session, *args, **kwargs)

    return checked


for _name in ("run_async", "run_with_iobinding", "run_with_ort_values", "run_with_ortvaluevector"):
    setattr(Session, _name, _looking_first(_name))
