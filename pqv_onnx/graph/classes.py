"""The back end for apps: the best classes and how probable they are, beside the logits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from pqv_onnx.errors import PqvError, check_count

_FLOAT, _INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def check_top_k(count: int, task: str, classes: int) -> None:
    """Refuse a model that does not give so many classes.

    Raises:
        PqvError: it gives no logits, or fewer; or ``count`` is no number of classes.
    """
    check_count("top_k", count, 1)
    if task != "logits":
        raise PqvError(f"the model gives {task}, the best classes want the task logits")
    if count > classes:
        raise PqvError(f"the best {count} classes were asked for, the model has {classes}")


class GiveClasses(ir.passes.InPlacePass):
    """Add the outputs ``probabilities`` and ``classes`` behind the logits.

    Both are [batch, count], the best class first and the lower class first where logits are equal:
    float32, the softmax of all logits, and int64, the classes' numbers from 0.
    """

    def __init__(self, count: int) -> None:
        """How many classes to give."""
        super().__init__()
        self.count = count

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add the nodes."""
        graph = model.graph
        (logits,) = graph.outputs
        assert logits.shape is not None
        shape = ir.Shape([logits.shape[0], self.count])
        tape = ir.tape.Tape()
        count = tape.initializer(ir.tensor(np.array([self.count])), "top.count")
        best, classes = ir.val("top.logits", _FLOAT, shape), ir.val("classes", _INT64, shape)
        shares = ir.val("top.shares", _FLOAT, logits.shape)
        probabilities = ir.val("probabilities", _FLOAT, shape)
        tape.op_multi_out(
            "TopK", [logits, count], {"axis": 1}, outputs=[best, classes], name="top.k"
        )
        tape.op("Softmax", [logits], {"axis": 1}, output=shares, name="top.softmax")
        # Classes are those of the highest logits, which softmax may round to equal shares.
        tape.op(
            "GatherElements",
            [shares, classes],
            {"axis": 1},
            output=probabilities,
            name="top.gather",
        )
        graph.extend(tape.nodes)
        graph.register_initializer(count)
        graph.outputs.extend([probabilities, classes])
        return ir.passes.PassResult(model, modified=True)
