"""An onnxruntime session to be timed."""

from __future__ import annotations

import os
import time

import numpy as np
import onnxruntime

from pqv_onnx.bench.profile import OpTime, read_profile
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.encoded import encoded_photo
from pqv_onnx.runtime.images import PHOTO
from pqv_onnx.runtime.library import forced_isa
from pqv_onnx.runtime.session import InferenceSession, run_session, session_options

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class TimedSession:
    """A session with its own random inputs.

    Attributes:
        created: how long it took to make the session, in seconds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int = 1,
        batch: int = 1,
        isa: str | None = None,
        use_library: bool = True,
        profile_prefix: str | None = None,
    ) -> None:
        """Make the session and its inputs.

        Args:
            path: the ``.onnx`` file.
            threads: threads within an op.
            batch: size of the first dimension where it is not fixed in the model; 1 for models of
                images, which are given one of the size ``PHOTO``, or of files.
            isa: variant of the kernels; the library's choice by default.
            use_library: False for models and runs without the ``pqv`` kernels.
            profile_prefix: turns onnxruntime's profiler on; where its file goes.

        Raises:
            PqvError: the model cannot be loaded, or has inputs that cannot be made up.
        """
        self._path = str(path)
        options = session_options(threads)
        if profile_prefix is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile_prefix
        start = time.perf_counter()
        with forced_isa(isa):
            self._session = InferenceSession(path, options, use_library=use_library)
        self.created = time.perf_counter() - start
        self._feeds = {
            value.name: _random_array(self._path, value, batch)
            for value in self._session.get_inputs()
        }

    @property
    def metadata(self) -> dict[str, str]:
        """The entries of the model's metadata."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def time(self, runs: int) -> list[float]:
        """Time of each of ``runs`` inferences, in seconds.

        Raises:
            PqvError: onnxruntime fails.
        """
        return [self._time_one() for _ in range(runs)]

    def _time_one(self) -> float:
        start = time.perf_counter()
        run_session(self._session, self._feeds, self._path)
        return time.perf_counter() - start

    def profile(self, runs: int) -> list[OpTime]:
        """Time by op over ``runs`` inferences; once, with ``profile_prefix`` only."""
        self.time(runs)
        return read_profile(self._session.end_profiling(), runs)


def _random_array(path: str, value: onnxruntime.NodeArg, batch: int) -> np.ndarray:
    if value.type not in _TYPES:
        raise PqvError(f"{path}: input {value.name} is {value.type}: it cannot be made up")
    first, *rest = value.shape or [batch]
    if value.shape == ["bytes"]:
        if batch != 1:
            raise PqvError(f"{path}: takes one file at a time, not a batch of {batch}")
        return encoded_photo()
    if [first, *rest[:1]] == ["height", "width"]:
        if batch != 1:
            raise PqvError(f"{path}: takes one image at a time, not a batch of {batch}")
        first = batch = PHOTO[0]
        rest[0] = PHOTO[1]
    if not all(isinstance(size, int) for size in rest):
        raise PqvError(
            f"{path}: input {value.name} has the shape {value.shape}: "
            "only the first dimension may be open"
        )
    if isinstance(first, int) and first != batch:
        raise PqvError(f"{path}: input {value.name} has a fixed batch of {first}, not {batch}")
    generator = np.random.default_rng(0)
    dtype = _TYPES[value.type]
    if np.issubdtype(dtype, np.floating):
        return generator.standard_normal((batch, *rest)).astype(dtype)
    return generator.integers(0, 128, (batch, *rest)).astype(dtype)
