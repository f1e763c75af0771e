"""The ways to run one exported model that have to agree."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from pqv_onnx.runtime.info import library_info
from pqv_onnx.runtime.library import ISA_VARIABLE, forced_isa
from pqv_onnx.runtime.session import InferenceSession, run_session, session_options
from pqv_onnx.verification.compare import Values


@dataclass(frozen=True)
class Runner:
    """A named way to run a serialized model; ``isa`` None means the model's own functions."""

    name: str
    isa: str | None
    threads: int

    def session(self, model: bytes) -> onnxruntime.InferenceSession:
        """A session of ``model`` for this way of running it."""
        options = session_options(self.threads)
        with forced_isa(self.isa):
            return InferenceSession(model, options, use_library=self.isa is not None)

    def run(self, session: onnxruntime.InferenceSession, images: np.ndarray) -> Values:
        """All outputs of the session by name."""
        names = [output.name for output in session.get_outputs()]
        feeds = {session.get_inputs()[0].name: images}
        arrays = run_session(session, feeds, self.name, names)
        return dict(zip(names, arrays, strict=True))


def all_runners() -> list[Runner]:
    """Stock onnxruntime with the functions, then each ISA variant; 1 thread and all.

    If ``PQV_ISA`` is set, only that variant is tried.

    Raises:
        PqvError: the op library is missing or refuses ``PQV_ISA``.
    """
    info = library_info()
    forced = os.environ.get(ISA_VARIABLE)
    variants = [forced] if forced else info["available"]
    thread_counts = sorted({1, os.cpu_count() or 1})
    runners = [Runner("functions", None, thread_counts[-1])]
    runners += [
        Runner(f"library {isa}, {threads} thread{'s' if threads > 1 else ''}", isa, threads)
        for isa in variants
        for threads in thread_counts
    ]
    return runners


def expose_values(model: onnx.ModelProto) -> bytes:
    """The serialized model with every node's outputs as graph outputs."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    present = {value.name for value in exposed.graph.output}
    produced = {name for node in exposed.graph.node for name in node.output}
    exposed.graph.output.extend(
        value
        for value in exposed.graph.value_info
        if value.name in produced and value.name not in present
    )
    return exposed.SerializeToString()


Oracle = Callable[[np.ndarray], Values]
