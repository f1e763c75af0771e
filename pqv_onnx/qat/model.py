"""The fake-quantized model: a graph, a handler for each of its nodes, and their state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from pqv_onnx.qat.assembly import Assembly
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.handlers import Handler, Heads, Linear
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.trace import streams
from pqv_onnx.trace.nodes import Node
from pqv_onnx.trace.values import one_or_all


@dataclass(frozen=True)
class Segment:
    """A part of a model's forward pass; what it returns is what the next one reads.

    Attributes:
        name: of its last layer's module, as in timm.
        run: the computation: what goes out, and the model's results that come about in it.
        modules: what has its parameters.
    """

    name: str
    run: Callable[[Tensor], tuple[Tensor, dict[Node, Tensor]]]
    modules: tuple[nn.Module, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Compute on images, or on the tokens that the segment before returns."""
        return self.run(x)[0]

    def has(self, modules: Iterable[nn.Module]) -> bool:
        """Whether all of some modules are in it."""
        return set(modules) <= set(self.submodules())

    def submodules(self) -> Iterator[nn.Module]:
        """The modules and what is in them, each once."""
        every = chain.from_iterable(module.modules() for module in self.modules)
        return iter(dict.fromkeys(every))  # a module may be in another of them


class QuantModel(nn.Module):
    """A transformer for quantization-aware training; modules are named as in timm.

    ``forward`` maps normalised images [B, in_chans, H, W] to logits [B, classes], or what else the
    task says; feature maps are a tuple.

    Attributes:
        config: the graph, quantization scheme and preprocessing.
        handlers: how each node is computed.
        checkpoint_sha256: of the file it was loaded from, if it was.
    """

    checkpoint_sha256: str | None = None

    def __init__(self, config: ModelConfig) -> None:
        """Create an uncalibrated model of zeros; ``config`` stays with it.

        Raises:
            PqvError: a node of the graph cannot be quantized, or the spec has bits for a layer
                that is not there.
        """
        super().__init__()
        graph = config.backbone.graph
        assembly = Assembly(self, graph, config.spec)
        self.handlers: dict[Node, Handler[Node]] = assembly.handlers
        self._blocks = {
            handler.linear
            for node, handler in assembly.handlers.items()
            if isinstance(handler, Linear)
            and handler.node.kernel is None
            and not assembly.is_head(node)
        }
        spec = config.spec.for_layers(self.block_layers())
        for name, bits in spec.weight_bits.items():
            self.block_layers()[name].set_bits(bits)
        self.config = replace(config, spec=spec)
        self._parts = graph.segments()

    def segments(self) -> list[Segment]:
        """The parts of ``forward`` in their order: embedding, halves of blocks, head."""
        seen: Counter[str] = Counter()
        return [self._segment(part, seen) for part in self._parts]

    def _segment(self, part: streams.Segment, seen: Counter[str]) -> Segment:
        modules = chain.from_iterable(self.handlers[node].modules for node in part.nodes)
        name = _name(part)
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}_{seen[name]}"
        return Segment(name, lambda x: self._run(part, x), tuple(modules))

    def _run(self, part: streams.Segment, x: Tensor) -> tuple[Tensor, dict[Node, Tensor]]:
        """What goes out of a part, and the model's results among its nodes."""
        values: dict[Node, Tensor | Sums] = {} if part.input is None else {part.input: x}
        for node in part.nodes:
            inputs = [x] if not node.inputs else [values[value] for value in node.nodes]
            values[node] = self.handlers[node](*inputs)
        real = {node: x.real if isinstance(x, Sums) else x for node, x in values.items()}
        outputs = self.config.backbone.graph.outputs
        return real[part.output], {node: real[node] for node in part.nodes if node in outputs}

    def forward(self, images: Tensor) -> Any:
        """What the task says of normalised images [B, in_chans, H, W]."""
        results: dict[Node, Tensor] = {}
        x = images
        with parametrize.cached():  # layers ask for their weights more than once
            for part in self._parts:
                x, found = self._run(part, x)
                results |= found
        return one_or_all([results[output] for output in self.config.backbone.graph.outputs])

    def train_heads_apart(self) -> bool:
        """Let ``forward`` give the logits of both heads in training mode, [2, B, classes].

        The class token's come first, the distillation token's second (DeiT, section 4).

        Returns:
            Whether there are two heads; if not, nothing changes.
        """
        head = self.handlers[self.config.backbone.graph.output]
        if not isinstance(head, Heads):
            return False
        head.linear.difference.requires_grad_(True)
        head.apart = True
        return True

    def block_layers(self) -> dict[str, QuantLinear]:
        """The matmuls with a choice of bits, all but embedding and head, by their names in timm."""
        return {
            name: module
            for name, module in self.named_modules()
            if isinstance(module, QuantLinear) and module in self._blocks
        }


def _name(part: streams.Segment) -> str:
    """A segment's name: where its last layer is."""
    paths = [node.path for node in part.nodes if node.kind in ("linear", "heads")]
    last = paths[-1] if paths else part.output.path
    return last.rpartition(".")[0] or last
