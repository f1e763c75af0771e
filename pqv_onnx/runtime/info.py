"""What the op library says of itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from pqv_onnx.runtime.library import get_library_path
from pqv_onnx.runtime.session import InferenceSession


def library_info() -> dict[str, Any]:
    """What the library reports: version, ISA variants and how often each has run.

    Returns:
        ``version``, ``op_domain_version``, ``variants`` (compiled in), ``available`` (on this
        CPU), ``selected`` (for a session made now, ``PQV_ISA`` regarded) and ``runs``
        (kernel executions per variant since the library was loaded).

    Raises:
        PqvError: no library, or one that refuses ``PQV_ISA``.
    """
    # A graph input, not a constant: a constant node would be folded when the session is made.
    probe = helper.make_tensor_value_info("probe", TensorProto.INT8, [None])
    text = helper.make_tensor_value_info("text", TensorProto.UINT8, [None])
    node = helper.make_node("Info", ["probe"], ["text"], domain="pqv.library")
    model = helper.make_model(
        helper.make_graph([node], "info", [probe], [text]),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("pqv.library", 1)],
        ir_version=10,
    )
    get_library_path()  # the sentence for a missing library, before the session falls back
    session = InferenceSession(model.SerializeToString())
    (result,) = session.run(None, {"probe": np.zeros(1, np.int8)})
    info: dict[str, Any] = json.loads(result.tobytes().decode())
    return info
