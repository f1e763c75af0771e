"""What is not supported is refused with one sentence; nothing unknown is passed through."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.trace import normalise, record

Body = Callable[["Model", Tensor], object]


class Model(nn.Module):
    """Tokens [B, 4, 8] of an image [B, 3, 8, 8], and ``body`` behind them."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.one = nn.Linear(8, 8)
        self.conv = nn.Conv2d(8, 8, 2, 1)
        self.grouped = nn.Conv2d(3, 3, 2, 2, groups=3)
        self.norm = nn.BatchNorm2d(3)
        self.hidden = [torch.ones(8)]
        self.body = body

    def forward(self, image: Tensor) -> object:
        self.image = image
        return self.body(self, self.embed(image).flatten(2).transpose(1, 2))


def setitem(model: Model, x: Tensor) -> Tensor:
    x[:, 0] = 0
    return x


def write_through_view(model: Model, x: Tensor) -> Tensor:
    x[:, 0].add_(1)
    return x


def write_to_shifted(model: Model, x: Tensor) -> Tensor:
    y = model.one(x)
    return y[:, 1:].copy_(y[:, :-1])


def random(model: Model, x: Tensor) -> Tensor:
    return x + torch.randn(8, device=x.device)


def named_outputs(model: Model, x: Tensor) -> dict[str, Tensor]:
    return {"x": x}


def fails(model: Model, x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x
    return -x


def softmax_of_values(model: Model, x: Tensor) -> Tensor:
    return x.softmax(-1) @ x.transpose(1, 2)


def causal(model: Model, x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x, is_causal=True)


def mask_of_bools(model: Model, x: Tensor) -> Tensor:
    mask = torch.ones(4, 4, dtype=torch.bool, device=x.device)
    return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)


def computed_bias(model: Model, x: Tensor) -> Tensor:
    logits = x @ x.transpose(1, 2)
    return (logits + model.one(x)[..., :4]).softmax(-1) @ x


def scaled_bias(model: Model, x: Tensor) -> Tensor:
    logits = x @ x.transpose(1, 2)
    return ((logits + model.one.bias[:4]) * 2).softmax(-1) @ x


def untransposed(model: Model, x: Tensor) -> Tensor:
    return (x @ model.one(x).reshape(-1, 8, 4)).softmax(-1) @ x


CASES: dict[str, tuple[Body, str]] = {
    "setitem": (setitem, "model: __setitem__ writes in place"),
    "view": (
        write_through_view,
        "model: reads a tensor that was written in place through a view of it",
    ),
    "shifted": (write_to_shifted, "model: copy_ writes in place to more than its first argument"),
    "random": (random, "model: randn draws random numbers"),
    "hidden": (
        lambda model, x: x * model.hidden[0],
        "model: reads a tensor [8] that is neither parameter nor buffer",
    ),
    "outputs": (named_outputs, "model: gives a dict, expected a tensor or a list of them"),
    "constant": (
        lambda model, x: model.one.weight * 2,
        "model: gives a value that does not depend on the image",
    ),
    "fails": (fails, "model: forward fails on the meta device: "),
    "convolution": (
        lambda model, x: model.conv(x.unflatten(1, (2, 2)).permute(0, 3, 1, 2)),
        "conv: a convolution of kernel (2, 2), stride (1, 1), expected patches of an image",
    ),
    "groups": (
        lambda model, x: model.grouped(model.image),
        "grouped: a convolution of kernel (2, 2), stride (2, 2), expected patches of an image",
    ),
    "batch norm": (lambda model, x: model.norm(model.image), "norm: batch_norm is not supported"),
    "dropout": (
        lambda model, x: F.dropout(x),
        "model: dropout is active in evaluation, too, expected training=self.training",
    ),
    "bias": (
        lambda model, x: F.linear(x, model.one.weight, model.one(x)[0, 0]),
        "model: __getitem__ takes some images of a",
    ),
    "exp": (lambda model, x: x.exp(), "model: exp is not supported"),
    "difference": (lambda model, x: x - 1, "model: subtracts a number or a multiple"),
    "number": (lambda model, x: x + 1, "model: adds a number"),
    "quotient": (lambda model, x: x / model.one(x), "model: divides by a tensor"),
    "weights": (lambda model, x: F.linear(x, x[0]), "model: __getitem__ takes some images of a"),
    "gather": (
        lambda model, x: x[:, torch.zeros(3, dtype=torch.long, device=x.device)],
        "model: __getitem__ takes elements by a tensor of indices, expected slices",
    ),
    "other axes": (
        lambda model, x: F.layer_norm(x, (4, 8)),
        "model: normalizes 2 axes, expected the last",
    ),
    "other norm": (
        lambda model, x: F.normalize(x, p=1.0, dim=-1),
        "model: normalizes by norm 1.0 along axis -1, expected 2 along the last",
    ),
    "padding": (
        lambda model, x: F.pad(x, (1, 1), value=1.0),
        "model: pads with something else, expected zeros",
    ),
    "dtype": (lambda model, x: x.half(), "model: half gives torch.float16, expected torch.float32"),
    "mean": (lambda model, x: x.mean(), "model: a mean over all axes"),
    "images": (lambda model, x: x.mean(0), "model: mean mixes the images of a batch"),
    "rolled": (lambda model, x: x.roll(1, 0), "model: roll mixes the images of a batch"),
    "all but one": (lambda model, x: x[1:], "model: __getitem__ has a size 1000002 computed from"),
    "every other": (lambda model, x: x[::2], "model: __getitem__ takes some images of a batch"),
    "negative": (lambda model, x: -x, "model: a negation outside of a rotary embedding"),
    "product": (
        lambda model, x: x @ model.one(x).transpose(1, 2),
        "model: a matrix product outside of attention",
    ),
    "axis": (lambda model, x: x.softmax(1), "model: a softmax along axis 1, expected the last"),
    "softmax": (
        softmax_of_values,
        "model: a softmax of move, expected of a product of queries and keys",
    ),
    "causal": (causal, "model: causal attention"),
    "bools": (mask_of_bools, "model: attention with a mask that is computed or not of floats"),
    "computed bias": (computed_bias, "model: adds activations to attention's logits"),
    "scaled bias": (scaled_bias, "model: scales attention's logits and their bias"),
    "keys": (untransposed, "model: keys of attention are not transposed"),
    "mask": (
        lambda model, x: x * model.one.weight[:4],
        "model: multiplies by a constant of shape [4, 8], expected one factor per channel",
    ),
    "grows": (
        lambda model, x: x[:, :1] * model.one.weight[:4, :1],
        "model: multiplies by a constant that gives the value another shape",
    ),
    "pools": (
        lambda model, x: F.adaptive_avg_pool2d(model.image, 2),
        "model: pools to 2, expected one value",
    ),
    "sum": (lambda model, x: x.sum(1), "model: a sum along an axis"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_sentence(case: str) -> None:
    body, sentence = CASES[case]
    with pytest.raises(PqvError, match=f"^{re.escape(sentence)}[^\n]*$"):
        normalise(record(Model(body).eval(), (3, 8, 8)))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vit_tiny_r_s16_p8_224", r"patch_embed\.backbone\.norm: group_norm is not supported"),
    ],
)
def test_models_of_timm(name: str, sentence: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, depth=2)
    with pytest.raises(PqvError, match=f"^{sentence}$"):
        normalise(record(model, model.pretrained_cfg["input_size"]))
