"""What is timed: the ops of DeiT and Swin-T at batch 1, at their sizes."""

from __future__ import annotations

from dataclasses import dataclass

COPIES = 4  # of a case in one model, so that starting an inference hardly counts
TOKENS = 197  # of a DeiT, 224 x 224
WINDOW = 49  # tokens of a Swin's window
MATMUL, ATTENTION, WINDOWS = "MatMul", "Attention", "WindowAttention"
LAYER_NORM, GELU, SOFTMAX = "LayerNorm", "GELU", "Softmax"


@dataclass(frozen=True)
class Case:
    """One op at one size.

    Attributes:
        kind: which op.
        model: where the size comes from.
        shape: MatMul: rows, input and output channels. Attention and WindowAttention: images or
            windows, heads, tokens, depth of a head. The others: rows, length of a row.
    """

    kind: str
    model: str
    shape: tuple[int, ...]

    @property
    def is_product(self) -> bool:
        """Whether work counts multiply-accumulates; else elements."""
        return self.kind in (MATMUL, ATTENTION, WINDOWS)

    @property
    def work(self) -> int:
        """Multiply-accumulates or elements of one copy."""
        if self.kind in (ATTENTION, WINDOWS):
            count, heads, tokens, depth = self.shape
            return 2 * count * heads * tokens * tokens * depth
        product = 1
        for size in self.shape:
            product *= size
        return product

    def __str__(self) -> str:
        return f"{self.kind} {' x '.join(map(str, self.shape))}"


def make_cases(*, quick: bool) -> list[Case]:
    """All cases; with ``quick`` those of DeiT-T and of Swin-T's first stage."""
    cases: list[Case] = []
    for model, width, heads in (("DeiT-T", 192, 3), ("DeiT-S", 384, 6), ("DeiT-B", 768, 12)):
        cases += _layer(model, TOKENS, width)
        cases.append(Case(ATTENTION, model, (1, heads, TOKENS, 64)))
        cases.append(Case(SOFTMAX, model, (heads * TOKENS, TOKENS)))
        if quick:
            break
    for stage in range(1 if quick else 4):
        model, side, width = f"Swin-T stage {stage + 1}", 56 >> stage, 96 << stage
        cases += _layer(model, side * side, width)
        windows, heads = side * side // WINDOW, 3 << stage
        cases.append(Case(WINDOWS, model, (windows, heads, WINDOW, 32)))
    return sorted(cases, key=_order)


def _layer(model: str, rows: int, width: int) -> list[Case]:
    sizes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
    return [
        *(Case(MATMUL, model, (rows, *size)) for size in sizes),
        Case(LAYER_NORM, model, (rows, width)),
        Case(GELU, model, (rows, 4 * width)),
    ]


def _order(case: Case) -> int:
    return [MATMUL, ATTENTION, WINDOWS, LAYER_NORM, GELU, SOFTMAX].index(case.kind)
