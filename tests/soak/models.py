"""Models with bytes or parts changed: loading and running one gives a result or an error."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, numpy_helper

_OF_A_PROCESS = 200
_SECONDS = 20
"""What one model may take."""


@dataclass
class Models:
    """What became of mutated models.

    Attributes:
        outcomes: models by ``result``, ``error`` or ``other`` (an exception of another kind).
        broken: those that ended the process or did not end, a line each.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def mutate(model: bytes, seed: int) -> bytes:
    """A model with some bytes changed, or some of its parts."""
    draw = random.Random(seed)
    if seed % 2:
        return _bytes(model, draw)
    parsed = onnx.load_from_string(model)
    for _ in range(draw.randint(1, 3)):
        draw.choice(_STRUCTURAL)(parsed, draw)
    changed: bytes = parsed.SerializeToString()
    return changed


def _bytes(model: bytes, draw: random.Random) -> bytes:
    changed = bytearray(model)
    for _ in range(draw.choice((1, 2, 8, 64))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    if draw.random() < 0.1:
        del changed[draw.randrange(len(changed)) :]
    return bytes(changed)


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.domain.startswith("pqv")]


def _attribute(model: onnx.ModelProto, draw: random.Random) -> None:
    attributes = [a for node in _nodes(model) for a in node.attribute]
    attribute = draw.choice(attributes)
    if attribute.type == AttributeProto.INT:
        attribute.i = draw.choice((-1, 0, 1, 2**31 - 1, 2**31, 2**62, -(2**63)))
    else:
        attribute.s = draw.choice((b"", b"x", bytes(300)))


def _constant(model: onnx.ModelProto, draw: random.Random) -> None:
    """Other values, another shape or another type of an initializer."""
    tensor = draw.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor)
    kind = draw.randrange(3)
    if kind == 0:
        rng = np.random.default_rng(draw.randrange(2**32))
        array = np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape)
    elif kind == 1:
        array = array.reshape(-1)[: draw.randrange(array.size + 1)]
    else:
        array = array.astype(draw.choice((np.int8, np.int16, np.int32, np.uint8, np.float32)))
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _wire(model: onnx.ModelProto, draw: random.Random) -> None:
    """Another input of a node."""
    node = draw.choice(_nodes(model))
    others = [name for other in model.graph.node for name in other.input]
    node.input[draw.randrange(len(node.input))] = draw.choice([*others, ""])


def _op(model: onnx.ModelProto, draw: random.Random) -> None:
    """Another op in place of a node's."""
    nodes = _nodes(model)
    draw.choice(nodes).op_type = draw.choice(nodes).op_type


_Change = Callable[[onnx.ModelProto, random.Random], None]
_STRUCTURAL: tuple[_Change, ...] = (_attribute, _constant, _wire, _op)


def outcome(model: bytes) -> str:
    """Load a model and run it on zeros."""
    import onnxruntime

    from pqv_onnx.errors import PqvError
    from pqv_onnx.runtime.session import InferenceSession

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = InferenceSession(model, options)
    except PqvError:
        return "error"
    try:
        session.run(None, {read.name: _zeros(read) for read in session.get_inputs()})
    except Exception as error:  # noqa: BLE001 - onnxruntime has no common class for its own
        return "error" if type(error).__module__.startswith("onnxruntime") else "other"
    return "result"


def _zeros(read: Any) -> np.ndarray:
    types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    shape = [size if isinstance(size, int) and 0 < size < 1000 else 1 for size in read.shape]
    return np.zeros(shape, types.get(read.type, np.float32))


def run(model: Path, count: int, seed: int = 0) -> Models:
    """Try ``count`` mutations of a model, in processes that may end."""
    found, at = Models(), seed
    while at < seed + count:
        until = min(at + _OF_A_PROCESS, seed + count)
        tried = 0
        for word in _outcomes(model, at, until):
            if word.startswith("!"):
                found.broken.append(f"mutation {at + tried}: {word[1:]}")
            found.outcomes[word] = found.outcomes.get(word, 0) + 1
            tried += 1
        at += tried
    return found


def _outcomes(model: Path, begin: int, end: int) -> Iterator[str]:
    """What the models of a process came to; the last begins with ``!`` if it broke the process."""
    command = [sys.executable, "-m", "tests.soak.models", str(model), str(begin), str(end)]
    limit = 10 + _SECONDS + (end - begin)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
        printed, status = done.stdout, str(done.returncode)
    except subprocess.TimeoutExpired as stopped:
        printed, status = (stopped.stdout or b"").decode(), "no end"
    words = printed.split()
    yield from words
    if len(words) < end - begin:
        yield f"!{status}"


def main(model: str, begin: str, end: str) -> None:
    """Print the outcomes of some mutations, a line each."""
    warnings.simplefilter("ignore")
    data = Path(model).read_bytes()
    for seed in range(int(begin), int(end)):
        print(outcome(mutate(data, seed)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
