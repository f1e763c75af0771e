"""Who runs a case: our kernels, onnxruntime's own and oneDNN's, by OpenVINO."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.kernels import onnx_models, openvino_models
from benchmarks.kernels.cases import Case


@dataclass(frozen=True)
class Contestant:
    """One way to run cases.

    Attributes:
        title: its name in tables.
        start: makes the model of a case, ready to be timed; None if there is no such op.
        needs: the module that must be installed.
        native_only: whether a CPU with lower instruction sets has nothing like it.
    """

    title: str
    start: Callable[[Case], Running | None]
    needs: str = "onnxruntime"
    native_only: bool = False

    def is_missing(self) -> bool:
        return importlib.util.find_spec(self.needs) is None


class Running:
    """A loaded model that is run again and again.

    Attributes:
        op: what runs, in the words of the runtime.
    """

    def __init__(self, op: str, infer: Callable[[], Any]) -> None:
        self.op = op
        self._infer = infer

    def time(self, runs: int) -> list[float]:
        """Processor time of each run in seconds: waiting for the processor does not count."""
        times = []
        for _ in range(runs):
            start = time.process_time()
            self._infer()
            times.append(time.process_time() - start)
        return times


def _onnxruntime(
    make: Callable[[Case], onnx_models.OneOp | None], *, ours: bool
) -> Callable[[Case], Running | None]:
    def start(case: Case) -> Running | None:
        from pqv_onnx.runtime.session import InferenceSession, session_options

        if (one := make(case)) is None:
            return None
        session = InferenceSession(one.serialize(), session_options(threads=1), use_library=ours)
        binding = _bind(session, one.feeds)
        return Running(one.op, lambda: session.run_with_iobinding(binding))

    return start


def _bind(session: Any, feeds: dict[str, Any]) -> Any:
    """Inputs and outputs in memory of the runtime, which is aligned, unlike numpy's.

    So are those between the nodes of a model, and they stay where they are from run to run.
    """
    from onnxruntime import OrtValue

    def allocate(array: Any) -> Any:
        return OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype)

    binding = session.io_binding()
    for name, array in feeds.items():
        value = allocate(array)
        value.update_inplace(array)
        binding.bind_ortvalue_input(name, value)
    outputs = session.run(None, feeds)
    for output, array in zip(session.get_outputs(), outputs, strict=True):
        binding.bind_ortvalue_output(output.name, allocate(array))
    return binding


def _openvino(make: Callable[[Case], Any], precision: str) -> Callable[[Case], Running | None]:
    def start(case: Case) -> Running | None:
        import openvino

        if (model := make(case)) is None:
            return None
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": "1",
            "INFERENCE_PRECISION_HINT": precision,
        }
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()
        for value in compiled.inputs:
            tensor = openvino.Tensor(value.element_type, value.shape)
            tensor.data[...] = onnx_models.random_array(tensor.data.dtype.type, tensor.shape)
            request.set_tensor(value, tensor)
        return Running(_implementation(compiled), request.infer)

    return start


def _implementation(compiled: Any) -> str:
    """The primitives that OpenVINO chose, as `brgemm_avx512_amx_i8`: oneDNN's, or its own."""
    found: dict[str, None] = {}
    for node in compiled.get_runtime_model().get_ops():
        kind, primitive = (
            node.get_rt_info()[key].astype(str) for key in ("layerType", "primitiveType")
        )
        if kind not in ("Const", "Input", "Output", "Transpose"):
            found[f"{kind} {primitive}"] = None
    return ", ".join(sorted(found))


def _floating(dtype: str) -> Callable[[Case], Any]:
    def make(case: Case) -> Any:
        import openvino

        return openvino_models.floating(case, getattr(openvino.Type, dtype))

    return make


OURS = {
    "pqv-int8": Contestant("pqv int8", _onnxruntime(onnx_models.pqv(8), ours=True)),
    "pqv-int4": Contestant("pqv int4", _onnxruntime(onnx_models.pqv(4), ours=True)),
}
PEERS = {
    "ort-fp32": Contestant("ort fp32", _onnxruntime(onnx_models.float32, ours=False)),
    "ort-qlinear": Contestant("ort QLinear", _onnxruntime(onnx_models.qlinear, ours=False)),
    "ort-integer": Contestant("ort MatMulInteger", _onnxruntime(onnx_models.integer, ours=False)),
    "ort-nbits": Contestant("ort MatMulNBits", _onnxruntime(onnx_models.nbits, ours=False)),
    "openvino-int8": Contestant(
        "OpenVINO int8", _openvino(openvino_models.int8, "f32"), "openvino"
    ),
    "openvino-bf16": Contestant(
        "OpenVINO bf16", _openvino(_floating("bf16"), "bf16"), "openvino", native_only=True
    ),
    "openvino-fp32": Contestant("OpenVINO fp32", _openvino(_floating("f32"), "f32"), "openvino"),
}
CONTESTANTS = OURS | PEERS
