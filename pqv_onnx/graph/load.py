"""Reading an exported model, with clear words for what is not one."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import DOMAIN, VERSION


def load_model(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read an ``.onnx`` file and check that it is a valid model with ``pqv`` ops.

    Raises:
        PqvError: the file is missing or truncated, is not a valid ONNX model, has no ``pqv``
            op, or wants another version of the op domain than this package knows.
    """
    source = Path(path)
    if not source.is_file():
        raise PqvError(f"{source}: there is no such file")
    try:
        model = onnx.load(source)
        onnx.checker.check_model(model)
    except DecodeError as error:
        raise PqvError(f"{source}: not an ONNX model, or a truncated one") from error
    except OSError as error:
        raise PqvError(f"{source}: cannot be read: {error.strerror}") from error
    except (onnx.checker.ValidationError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise PqvError(f"{source}: not a valid ONNX model: {first_line}") from error
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if not any(node.domain == DOMAIN for node in model.graph.node):
        raise PqvError(f"{source}: the model has no op of the domain {DOMAIN}")
    if versions.get(DOMAIN) != VERSION:
        raise PqvError(
            f"{source}: the model wants version {versions.get(DOMAIN)} of the op domain {DOMAIN}, "
            f"this package has version {VERSION}"
        )
    return model


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The model's ``metadata_props`` as a dict."""
    return {entry.key: entry.value for entry in model.metadata_props}
