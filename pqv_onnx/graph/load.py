"""Reading an exported model, with clear words for what is not one."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.files import check_file
from pqv_onnx.ops.domain import DOMAIN, OPS, VERSION
from pqv_onnx.runtime.preprocess import ONE_IMAGE


def read_proto(path: str | os.PathLike[str], *, external_data: bool = True) -> onnx.ModelProto:
    """Parse an ONNX file, whatever its name ends in; what is in it is not looked at.

    Args:
        path: the file.
        external_data: whether to read weights that it keeps in other files, too.

    Raises:
        PqvError: the file is missing, truncated, or cannot be read.
    """
    source = check_file(path)
    try:
        return onnx.load(source, "protobuf", load_external_data=external_data)
    except DecodeError as error:
        raise PqvError(f"{source}: not an ONNX model, or a truncated one") from error
    except OSError as error:
        raise PqvError(f"{source}: cannot be read: {error.strerror}") from error


def load_model(path: str | os.PathLike[str] | onnx.ModelProto) -> onnx.ModelProto:
    """Read an ``.onnx`` file and check that it is a valid model that was exported here.

    What it gave of a file before is given back.

    It has ``pqv`` ops, or says that it is in standard ones.

    Raises:
        PqvError: the file is missing or truncated, is not a valid ONNX model, has no ``pqv``
            op, wants another version of the op domain than this package knows, or has an op or
            an attribute that the domain lacks.
    """
    if isinstance(path, onnx.ModelProto):
        return path
    source = Path(path)
    try:
        model = read_proto(source)
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise PqvError(f"{source}: not a valid ONNX model: {first_line(error)}") from error
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if is_standard(model):
        return model
    if not any(node.domain == DOMAIN for node in model.graph.node):
        raise PqvError(
            f"{source}: the model has no op of the domain {DOMAIN}: it is not of pqv export; "
            "onnxruntime runs it by itself, `pqv bench --against` times it"
        )
    for wanted in (versions.get(DOMAIN), metadata(model).get("pqv.op_domain_version", VERSION)):
        if str(wanted) != str(VERSION):
            raise PqvError(
                f"{source}: the model wants version {wanted} of the op domain {DOMAIN}, "
                f"this package has version {VERSION}"
            )
    for node in model.graph.node:
        if node.domain == DOMAIN and (fault := _fault(node)):
            raise PqvError(f"{source}: node {node.name}: {fault}")
    return model


def _fault(node: onnx.NodeProto) -> str | None:
    """What a node has that the op domain has not, or lacks."""
    op = OPS.get(node.op_type)
    if op is None:
        return f"version {VERSION} of the op domain {DOMAIN} has no op {node.op_type}"
    known = {attribute.name for attribute in op.attributes}
    given = {attribute.name for attribute in node.attribute}
    if unknown := sorted(given - known):
        return f"{node.op_type} has no attribute {unknown[0]}"
    for attribute in op.attributes:
        if attribute.default is None and attribute.name not in given:
            return f"{node.op_type} lacks the attribute {attribute.name}"
    if len(node.input) != len(op.inputs):
        return f"{node.op_type} has {len(node.input)} inputs, expected {len(op.inputs)}"
    return None


def is_standard(model: onnx.ModelProto) -> bool:
    """Whether the model was exported in standard ops: QDQ or float."""
    return "pqv.format" in metadata(model)


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The model's ``metadata_props`` as a dict."""
    return {entry.key: entry.value for entry in model.metadata_props}


def result_names(model: onnx.ModelProto) -> list[str]:
    """Outputs that the task names; the best classes and their probabilities are others.

    Raises:
        PqvError: there are none.
    """
    task = metadata(model).get("pqv.task", "logits")
    names = [output.name for output in model.graph.output]
    if not (found := [name for name in names if name.startswith(task)]):
        raise PqvError(f"pqv.task of the model is {task!r}, expected that of its outputs, {names}")
    return found


def takes_image(model: onnx.ModelProto) -> bool:
    """Whether the model takes one image of any size, or its file, not a batch of its own size."""
    return metadata(model).get("pqv.input") in ONE_IMAGE


def takes_encoded(model: onnx.ModelProto) -> bool:
    """Whether the model takes the bytes of an image file."""
    return metadata(model).get("pqv.input") == "encoded"
