"""onnxruntime sessions with the op library registered."""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_file
from pqv_onnx.ops.domain import DOMAIN, VERSION
from pqv_onnx.runtime import encoded
from pqv_onnx.runtime.library import LIBRARY_VARIABLE, get_library_path

MINIMUM_ONNXRUNTIME = (1, 18)


def _one_line(error: BaseException) -> str:
    """The text of an onnxruntime error as one line, without its source locations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Options for so many threads within an op, or for one on every core (0).

    More threads than cores do not spin: on a core that others share, they would wait for one
    another's turns, for minutes if they are many.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if threads > (os.cpu_count() or 1):
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


_registered: weakref.WeakSet[onnxruntime.SessionOptions] = weakref.WeakSet()
"""Options that know the library: onnxruntime refuses a domain that is registered twice."""


def register_library(options: onnxruntime.SessionOptions) -> None:
    """Register the op library with ``options``, once.

    If the package has no library the options stay plain: onnxruntime then runs the functions
    that every exported model carries, to the same bits but slower. A warning says so.

    Raises:
        PqvError: onnxruntime is too old, the library that ``PQV_LIBRARY`` names is missing, or
            the library refuses (``PQV_ISA``).
    """
    if options in _registered:
        return
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    if version < MINIMUM_ONNXRUNTIME:
        raise PqvError(f"onnxruntime {onnxruntime.__version__} is too old: 1.18 or newer is needed")
    try:
        path = get_library_path()
    except PqvError as error:
        if os.environ.get(LIBRARY_VARIABLE):
            raise
        warnings.warn(f"{error}; running the models' functions instead, slower", stacklevel=3)
        return
    try:
        options.register_custom_ops_library(path)
    except Exception as error:
        raise PqvError(f"the op library was not registered: {_one_line(error)}") from error
    _registered.add(options)


def InferenceSession(  # noqa: N802 - named after the class it makes
    path_or_bytes: str | os.PathLike[str] | bytes,
    sess_options: onnxruntime.SessionOptions | None = None,
    providers: str | Sequence[str] = ("CPUExecutionProvider",),
    *,
    use_library: bool = True,
    **kwargs: Any,
) -> onnxruntime.InferenceSession:
    """An onnxruntime session that knows the ``pqv`` ops.

    For models of image files, it knows the decoder of onnxruntime-extensions, too, and looks at a
    file before the decoder does (`pqv_onnx.runtime.encoded`).

    Args:
        path_or_bytes: the model.
        sess_options: options of your own; the library is registered with them, here alone.
        providers: execution providers, CPU by default (the pqv kernels are CPU kernels).
        use_library: False runs the functions that the model carries, on stock onnxruntime.
        **kwargs: handed to ``onnxruntime.InferenceSession``.

    Raises:
        PqvError: no such file, not a valid model, one for another version of the op domain, or a
            node the library refuses; onnxruntime-extensions are needed and not installed; the
            options have the library already.
    """
    if not isinstance(path_or_bytes, bytes):
        path_or_bytes = os.fspath(path_or_bytes)
        check_file(path_or_bytes)
    options = sess_options or onnxruntime.SessionOptions()
    if use_library:
        register_library(options)
    # onnxruntime's fall-back tries the same provider again and prints about it; what went wrong
    # is in the error already.
    kwargs.setdefault("enable_fallback", 0)
    name = "the model" if isinstance(path_or_bytes, bytes) else path_or_bytes
    chosen = [providers] if isinstance(providers, str) else list(providers)
    try:
        session = _open(path_or_bytes, options, chosen, **kwargs)
    except Exception as error:
        # onnxruntime notices that no earlier, and there is no way to ask for it or to undo it.
        if "Domain already set in registry" in str(error):
            raise PqvError(
                "a library is registered twice with these session options: give new ones, "
                "pqv_onnx.InferenceSession registers the op library itself"
            ) from error
        raise PqvError(f"{name}: {_one_line(error)}") from error
    if options in _registered:
        _check_domain_version(session.entries, name)
    return session


def _open(
    model: str | bytes, options: onnxruntime.SessionOptions, *args: Any, **kwargs: Any
) -> encoded.Session:
    """A session; a model that asks for the ops of onnxruntime-extensions gets them."""
    try:
        return encoded.Session(model, options, *args, **kwargs)
    except Exception as error:
        if encoded.DOMAIN not in str(error):
            raise
    encoded.register_extensions(options)
    return encoded.Session(model, options, *args, **kwargs)


def _check_domain_version(entries: Mapping[str, str], name: str) -> None:
    """Refuse ops of another version: onnxruntime hands them to any library that knows their names.

    Raises:
        PqvError: the model was exported for another version of the op domain.
    """
    wanted = entries.get("pqv.op_domain_version")
    if wanted is not None and wanted != str(VERSION):
        raise PqvError(
            f"{name}: wants version {wanted} of the op domain {DOMAIN}, the library has "
            f"version {VERSION}"
        )


def run_session(
    session: onnxruntime.InferenceSession,
    feeds: Mapping[str, np.ndarray],
    model: str | os.PathLike[str],
    outputs: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Run a session whose errors are one line.

    Args:
        session: of any model.
        feeds: its inputs by name.
        model: what the error calls the model.
        outputs: names of the wanted outputs, all by default.

    Returns:
        The outputs.

    Raises:
        PqvError: onnxruntime fails, as with an input of a wrong shape.
    """
    try:
        arrays: list[np.ndarray] = session.run(outputs, dict(feeds))
    except PqvError as error:
        raise PqvError(f"{model}: {error}") from error
    except Exception as error:
        raise PqvError(f"{model}: {_one_line(error)}") from error
    return arrays
