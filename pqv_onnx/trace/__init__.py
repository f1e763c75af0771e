"""What a model computes, whatever its class: recorded calls, and the graph of their meaning.

    graph = normalise(record(model, (3, 224, 224)))

Everything that converts models begins with it; see ``docs/mechanism.md``.
"""

from pqv_onnx.trace.evaluate import evaluate
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.normalise import normalise
from pqv_onnx.trace.record import Recording, record
from pqv_onnx.trace.streams import Link, Segment, Stream

__all__ = [
    "Graph",
    "Link",
    "Recording",
    "Segment",
    "Stream",
    "evaluate",
    "normalise",
    "record",
]
