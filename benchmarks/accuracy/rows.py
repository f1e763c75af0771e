"""What the ablation compares: each row is a recipe with some changes."""

from __future__ import annotations

from dataclasses import dataclass

_PLAIN = {
    "train.initialization": "lsq",
    "quantization.attention": "uniform",
    "quantization.gelu": "symmetric",
    "quantization.pre_gelu": "per-tensor",
    "quantization.qkv": "per-tensor",
    "quantization.residual": "per-tensor",
    "train.distillation.kind": "none",
}


@dataclass(frozen=True)
class Row:
    """A way to quantize.

    Attributes:
        name: what tables call it.
        precision: ``float``, ``w8a8`` or ``w4a4``.
        trained: whether it is trained, or only calibrated.
        changes: of the recipe, value by key.
        float_model: ``usual``, or ``outliers``: two channels of its residual stream are wide.
    """

    name: str
    precision: str
    trained: bool = True
    changes: tuple[tuple[str, str], ...] = ()
    float_model: str = "usual"

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other rows."""
        return self.float_model, self.precision, self.name


def _plain_but(*techniques: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in _PLAIN.items() if key not in techniques)


def _plain_and(key: str, value: str) -> tuple[tuple[str, str], ...]:
    return (*_plain_but(key), (key, value))


def _with_outliers(precision: str, trained: bool) -> tuple[Row, ...]:
    """All techniques but residual ratios and rotation, without rotation only, and all."""
    name = "all techniques" if trained else "post-training"
    one_step = (("quantization.residual", "per-tensor"),)
    ratios = (("quantization.residual", "power-of-two"),)
    return (
        Row(f"{name}, no ratios", precision, trained, one_step, "outliers"),
        Row(f"{name}, ratios alone", precision, trained, ratios, "outliers"),
        Row(name, precision, trained, float_model="outliers"),
    )


ROWS = (
    Row("float", "float", trained=False),
    Row("float, trained on", "float", changes=(("train.distillation.kind", "none"),)),
    Row("float, trained on, distillation", "float"),
    Row("post-training", "w8a8", trained=False),
    Row("plain LSQ", "w8a8", changes=_plain_but()),
    Row("all techniques", "w8a8"),
    Row("post-training, LSQ's steps", "w4a4", trained=False, changes=_plain_but()),
    Row(
        "post-training, searched steps",
        "w4a4",
        trained=False,
        changes=_plain_but("train.initialization"),
    ),
    Row("post-training", "w4a4", trained=False),
    Row("plain LSQ", "w4a4", changes=_plain_but()),
    Row("+ searched steps", "w4a4", changes=_plain_but("train.initialization")),
    Row("+ log2 attention", "w4a4", changes=_plain_but("quantization.attention")),
    Row(
        "+ asymmetric GELU",
        "w4a4",
        changes=_plain_but("quantization.gelu", "quantization.pre_gelu"),
    ),
    Row("+ residual ratios", "w4a4", changes=_plain_and("quantization.residual", "power-of-two")),
    Row("+ rotated residual", "w4a4", changes=_plain_but("quantization.residual")),
    Row("+ rotated heads", "w4a4", changes=_plain_but("quantization.qkv")),
    Row("+ distillation", "w4a4", changes=_plain_but("train.distillation.kind")),
    Row("all techniques", "w4a4"),
    Row(
        "all + oscillation damping", "w4a4", changes=(("train.regularization.oscillation", "1e-2"),)
    ),
    Row("all + residual penalty", "w4a4", changes=(("train.regularization.residual", "1e-2"),)),
    Row("float", "float", trained=False, float_model="outliers"),
    *_with_outliers("w8a8", trained=False),
    *_with_outliers("w8a8", trained=True),
    *_with_outliers("w4a4", trained=False),
    *_with_outliers("w4a4", trained=True),
)
