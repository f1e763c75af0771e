"""Runtimes that phones use, each with one model for a single image on a set number of threads.

Needs numpy and the runtime: the arm64 Python of `benchmarks.arm64` has no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def random_image(shape: Any) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def open_executorch(path: str, threads: int) -> Callable[[], Any]:
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(threads)
    torch.set_num_threads(threads)
    method = Runtime.get().load_program(path).load_method("forward")
    shape = method.metadata.input_tensor_meta(0).sizes()
    inputs = (torch.from_numpy(random_image(shape)),)
    return lambda: method.execute(inputs)


def open_litert(path: str, threads: int) -> Callable[[], Any]:
    """With the delegate XNNPACK, which is the default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    interpreter.set_tensor(entry["index"], random_image(entry["shape"]))
    return interpreter.invoke  # type: ignore[no-any-return]


def open_ncnn(path: str, threads: int) -> Callable[[], Any]:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    if net.load_param(path) or net.load_model(str(Path(path).with_suffix(".bin"))):
        raise ValueError(f"ncnn cannot load {path}")
    array = random_image(ncnn_shape(Path(path).read_text()))
    image = ncnn.Mat(array).clone()  # the first does not keep the array

    def infer() -> None:
        extractor = net.create_extractor()
        extractor.input("in0", image)
        code, _ = extractor.extract("out0")
        if code:
            raise ValueError(f"ncnn cannot run {path}")

    return infer


def ncnn_shape(param: str) -> tuple[int, ...]:
    """Channels, height and width of the input, as the text of a model has them."""
    words = next(line for line in param.splitlines() if line.startswith("Input")).split()
    sizes = dict(word.split("=") for word in words if "=" in word)
    return tuple(int(sizes[key]) for key in ("2", "1", "0"))


OPENERS = {"executorch": open_executorch, "litert": open_litert, "ncnn": open_ncnn}


class MobileModel:
    """What `benchmarks.end_to_end.worker` times."""

    def __init__(self, config: dict[str, Any]) -> None:
        if config["batch"] != 1:
            raise ValueError("made for batches of one image")
        start = time.perf_counter()
        self._infer = OPENERS[config["runtime"]](config["path"], config["threads"])
        self.created = time.perf_counter() - start

    def time(self, runs: int) -> list[float]:
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self._infer()
            times.append(time.perf_counter() - start)
        return times
