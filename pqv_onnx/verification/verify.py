"""``verify_model``: run a model in every way there is and compare the bits."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import load_model, takes_encoded, takes_image
from pqv_onnx.graph.summary import float_nodes
from pqv_onnx.runtime.encoded import encoded_photo
from pqv_onnx.runtime.images import PHOTO, check_encoded
from pqv_onnx.verification.compare import Comparison, Values, first_difference
from pqv_onnx.verification.runners import Oracle, Runner, all_runners, expose_values


@dataclass(frozen=True)
class Report:
    """Result of `verify_model`."""

    comparisons: list[Comparison]
    float_nodes: list[str]

    @property
    def bit_exact(self) -> bool:
        """Whether every comparison found equal bits."""
        return all(comparison.difference is None for comparison in self.comparisons)

    def check(self, path: str | os.PathLike[str]) -> None:
        """Raise PqvError naming the first node of ``path`` that differs, or its float nodes."""
        different = [c for c in self.comparisons if c.difference is not None]
        if different:
            raise PqvError(
                f"{path} is not bit-exact: {different[0].candidate} differs from "
                f"{different[0].reference} first at {different[0].difference}"
            )
        if self.float_nodes:
            raise PqvError(f"{path} has float nodes inside: {', '.join(self.float_nodes[:5])}")


def verify_model(
    path: str | os.PathLike[str] | onnx.ModelProto,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    images: np.ndarray | None = None,
    batches: Sequence[int] | None = None,
    seed: int = 0,
    progress: Callable[[Comparison], None] = lambda comparison: None,
) -> Report:
    """Compare all ways to run an exported model, at every node and at the output.

    The ways are: the torch oracle (if a checkpoint is given), stock onnxruntime with the
    model's functions, and the library with each ISA variant of this machine, on 1 thread and
    on all. The first of them is the reference for the others.

    Args:
        path: the exported ``.onnx`` file, or what `load_model` gives of it.
        checkpoint: the QAT checkpoint it was exported from, for the torch oracle.
        images: inputs in the model's own type and layout; random ones if None.
        batches: batch sizes to try, by default `default_batches`; with ``images``, the first
            ``max(batches)`` are used.
        seed: for random images.
        progress: called with each comparison when it is done.

    Raises:
        PqvError: a file is not what it should be, or images do not fit the model's input.
    """
    model = load_model(path)
    nodes = [(node.name, node.op_type, node.output[0]) for node in model.graph.node]
    exposed, plain = expose_values(model), model.SerializeToString()
    batches = batches or default_batches(model)
    pool = model_images(model, images, max(batches), seed)
    oracle = _oracle(checkpoint, model) if checkpoint is not None else None
    comparisons: list[Comparison] = []

    def compare(reference: Values, found: Values, names: tuple[str, str], batch: int) -> None:
        compared, difference = first_difference(nodes, reference, found)
        if compared == 0:
            raise PqvError(f"{names[1]} and {names[0]} have no value in common to compare")
        comparisons.append(Comparison(*names, batch, compared, difference))
        progress(comparisons[-1])

    references: dict[int, Values] = {}
    reference_name = ""
    for name, run in _ways(oracle, exposed, plain, all_runners()):
        for batch in batches:
            found = run(pool if takes_image(model) else pool[:batch])
            if batch not in references:
                references[batch], reference_name = found, name
                continue
            compare(references[batch], found, (reference_name, name), batch)
    return Report(comparisons, float_nodes(model))


def _ways(
    oracle: Oracle | None, exposed: bytes, plain: bytes, runners: Sequence[Runner]
) -> list[tuple[str, Oracle]]:
    """Every way to run, lazily: each makes its sessions on its first call."""
    ways: list[tuple[str, Oracle]] = [("torch oracle", oracle)] if oracle is not None else []
    ways += [(runner.name, _node_by_node(runner, exposed, plain)) for runner in runners]
    return ways


def _node_by_node(runner: Runner, exposed: bytes, plain: bytes) -> Oracle:
    sessions: list[onnxruntime.InferenceSession] = []

    def run(images: np.ndarray) -> Values:
        if not sessions:
            sessions.extend((runner.session(exposed), runner.session(plain)))
        every, final = (runner.run(session, images) for session in sessions)
        # Exposing a value may change what onnxruntime fuses: the output that counts is the
        # one of the model as users run it.
        return {**every, **final}

    return run


def default_batches(model: onnx.ModelProto) -> tuple[int, ...]:
    """Batch sizes that a model is verified with."""
    return (1,) if takes_image(model) else (1, 3)


def model_images(
    model: onnx.ModelProto, images: np.ndarray | None, count: int, seed: int
) -> np.ndarray:
    """``count`` images that fit the model's input: the given ones, or random ones.

    Raises:
        PqvError: the given images have another type or shape, or are too few; or the model takes
            one image of any size, and ``count`` is not 1.
    """
    tensor = model.graph.input[0].type.tensor_type
    if takes_encoded(model):
        return _one_file(images, count, seed)
    if takes_image(model):
        return _one_image(tensor.shape.dim[-1].dim_value, images, count, seed)
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)[1:]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if images is None:
        generator = np.random.default_rng(seed)
        if dtype == np.uint8:
            return generator.integers(0, 256, (count, *shape), dtype=np.uint8)
        return generator.standard_normal((count, *shape)).astype(dtype)
    if images.dtype != dtype or images.shape[1:] != shape:
        raise PqvError(
            f"the images are {images.dtype}{list(images.shape)}, "
            f"the model takes {dtype}[batch, {', '.join(map(str, shape))}]"
        )
    if len(images) < count:
        raise PqvError(f"{len(images)} images were given, {count} are needed for the largest batch")
    return images


def _one_file(data: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """The given bytes of an image file, or made-up ones, uint8 [N]."""
    if count != 1:
        raise PqvError(f"the model takes one file at a time, not {count}")
    if data is None:
        return encoded_photo(seed)
    check_encoded(data)
    return data


def _one_image(channels: int, image: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """The given image, or a random one, uint8 [H, W, C]."""
    if count != 1:
        raise PqvError(f"the model takes one image at a time, not {count}")
    if image is None:
        return np.random.default_rng(seed).integers(0, 256, (*PHOTO, channels), dtype=np.uint8)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels or not image.size:
        raise PqvError(
            f"the image is {image.dtype}{list(image.shape)}, "
            f"the model takes uint8[height, width, {channels}]"
        )
    return image


def _oracle(checkpoint: str | os.PathLike[str], model: onnx.ModelProto) -> Oracle:
    from pqv_onnx.verification.oracle import torch_oracle

    return torch_oracle(checkpoint, model)
