"""One model in one process, run on request.

`python -m benchmarks.end_to_end.worker CONFIG` with a JSON object: runtime, path, threads, batch,
settings. It loads the model, says so, and then answers each line of JSON on stdin by one on
stdout, until stdin ends.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from benchmarks.end_to_end.mobile_runtimes import OPENERS, MobileModel
from benchmarks.end_to_end.prepare import stdout_to_stderr

# What each runtime is imported as; the others are onnxruntime.
MODULES = {
    "openvino": "openvino",
    "executorch": "executorch.runtime",
    "litert": "ai_edge_litert.interpreter",
    "ncnn": "ncnn",
}


class Model(Protocol):
    created: float

    def time(self, runs: int) -> list[float]: ...


class OnnxruntimeModel:
    """A stock session, or one with our kernels."""

    def __init__(self, config: dict[str, Any], **more: Any) -> None:
        from pqv_onnx.bench.session import TimedSession

        self._session = TimedSession(
            config["path"],
            threads=config["threads"],
            batch=config["batch"],
            use_library=config["runtime"] == "pqv",
            **more,
        )
        self.created = self._session.created
        self.time = self._session.time
        self.profile = self._session.profile


class OpenvinoModel:
    """A compiled model for one batch size, in latency mode."""

    def __init__(self, config: dict[str, Any]) -> None:
        import numpy as np
        import openvino

        start = time.perf_counter()
        core = openvino.Core()
        model = core.read_model(config["path"])
        shape = [config["batch"], *(d.get_length() for d in list(model.input().partial_shape)[1:])]
        model.reshape(shape)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(config["threads"]),
            **config["settings"],
        }
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.created = time.perf_counter() - start
        self._request.set_input_tensor(
            openvino.Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
        )

    def time(self, runs: int) -> list[float]:
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self._request.infer()
            times.append(time.perf_counter() - start)
        return times


def load(config: dict[str, Any]) -> Model:
    if config["runtime"] in OPENERS:
        return MobileModel(config)
    return OpenvinoModel(config) if config["runtime"] == "openvino" else OnnxruntimeModel(config)


def resident(entry: str) -> int:
    """Bytes of resident memory: VmRSS now, VmHWM at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(entry)


def import_runtime(config: dict[str, Any]) -> dict[str, Any]:
    """Import the runtime, so that memory before the model can be told from that of the model."""
    if config["runtime"] in MODULES:
        importlib.import_module(MODULES[config["runtime"]])
    else:
        import pqv_onnx.bench.session  # noqa: F401
    if config["runtime"] != "pqv":
        return {}
    from pqv_onnx.runtime.info import library_info

    return {"isa": library_info()["selected"]}


def answer(request: dict[str, Any], config: dict[str, Any], model: Model) -> Any:
    if request["do"] == "time":
        return model.time(request["runs"])
    if request["do"] == "memory":
        return resident("VmHWM")
    if request["do"] == "create":  # a second model beside the first, dropped at once
        return load(config).created
    if request["do"] == "profile":
        with tempfile.TemporaryDirectory() as folder:
            profiled = OnnxruntimeModel(config, profile_prefix=str(Path(folder) / "profile"))
            return [dataclasses.asdict(op) for op in profiled.profile(request["runs"])]
    raise ValueError(request)


def main(text: str) -> None:
    config = json.loads(text)
    with stdout_to_stderr() as real:

        def say(value: Any) -> None:
            os.write(real, json.dumps(value).encode() + b"\n")

        said = import_runtime(config)
        bare = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
        model = load(config)
        say({"created": model.created, "bare": bare, **said})
        for line in sys.stdin:
            say(answer(json.loads(line), config, model))


if __name__ == "__main__":
    main(sys.argv[1])
