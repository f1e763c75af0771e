"""Where the op library is, and what it says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pqv_onnx
from pqv_onnx.errors import PqvError

LIBRARY_NAME = "libpqv_ops.so"
LIBRARY_VARIABLE = "PQV_LIBRARY"
ISA_VARIABLE = "PQV_ISA"


def get_library_path() -> str:
    """Path of the op library, to give to ``SessionOptions.register_custom_ops_library``.

    The environment variable ``PQV_LIBRARY`` wins over the library inside the package.

    Raises:
        PqvError: there is no library at the named or usual place.
    """
    if named := os.environ.get(LIBRARY_VARIABLE):
        if not Path(named).is_file():
            raise PqvError(f"{LIBRARY_VARIABLE}={named}: there is no such file")
        return named
    for root in pqv_onnx.__path__:
        candidate = Path(root) / "lib" / LIBRARY_NAME
        if candidate.is_file():
            return str(candidate)
    raise PqvError(
        f"the op library {LIBRARY_NAME} is not in this installation of pqv_onnx: "
        f"reinstall the package, or name a built one with {LIBRARY_VARIABLE}"
    )


def library_info() -> dict[str, Any]:
    """What the library reports: version, ISA variants and how often each has run.

    Returns:
        ``version``, ``op_domain_version``, ``variants`` (compiled in), ``available`` (on this
        CPU), ``selected`` (for a session made now, ``PQV_ISA`` regarded) and ``runs``
        (kernel executions per variant since the library was loaded).

    Raises:
        PqvError: no library, or one that refuses ``PQV_ISA``.
    """
    import numpy as np
    from onnx import TensorProto, helper

    from pqv_onnx.runtime.session import InferenceSession

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
