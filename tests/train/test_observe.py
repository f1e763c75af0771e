"""What is seen on some images, and the pictures of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.quantizers import GELU_MINIMUM
from pqv_onnx.train.figures import write_figures
from pqv_onnx.train.observe import ATTENTION_EDGES, GELU_EDGES, observe
from tests.qat.models import PLAIN, images, qat_model


def test_counts_and_codes() -> None:
    model = qat_model("token", "w4a4")
    seen = observe(model, [images(3), images(2, seed=1)])
    assert seen.images == 5
    assert list(seen.attention) == ["blocks.0.attn.softmax", "blocks.1.attn.softmax"]
    tokens, heads = 13, 2
    for attention in seen.attention.values():
        assert attention.log2
        assert attention.counts.sum() == 5 * heads * tokens**2
        assert attention.mass.sum() == pytest.approx(5 * heads * tokens)
        # The largest of a row is 1 of itself.
        assert attention.counts[-1] >= 5 * heads * tokens
    gelu = seen.gelu["blocks.1.mlp.act"]
    assert gelu.counts.sum() == 5 * tokens * 128
    assert 16 < len(gelu.grid) <= 4 * 16 and 0 in gelu.grid
    assert gelu.counts[GELU_EDGES[1:] < -GELU_MINIMUM].sum() == 0
    assert list(seen.residual)[0] == "residual"
    name = "blocks.1.residual2"
    residual, quantizer = seen.residual[name], model.get_submodule(name)
    assert np.array_equal(residual.exponents, quantizer.exponent.numpy())
    assert residual.step == quantizer.step.item()


def test_ranges_are_those_of_the_stream() -> None:
    model = qat_model("token", "w8a8")
    found = []
    model.residual.register_forward_pre_hook(lambda _, x: found.append(x[0]))
    seen = observe(model, [images(4)])
    expected = found[0].abs().amax((0, 1)).double().numpy()
    assert np.array_equal(seen.residual["residual"].ranges, expected)
    assert not model.residual._forward_pre_hooks or len(model.residual._forward_pre_hooks) == 1


def test_places_outside_of_a_window_do_not_count() -> None:
    seen = observe(qat_model("swin"), [images(2)])
    plain, shifted = (seen.attention[f"layers.0.blocks.{i}.attn.softmax"] for i in (0, 1))
    assert shifted.counts.sum() < plain.counts.sum()
    assert shifted.mass.sum() == pytest.approx(plain.mass.sum())
    assert len(plain.counts) == len(ATTENTION_EDGES) - 1


@pytest.mark.parametrize(
    ("variant", "precision", "schemes"), [("swin", "w8a8", {}), ("token", "w4a4", PLAIN)]
)
def test_pictures(variant: str, precision: str, schemes: dict[str, str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    seen = observe(qat_model(variant, precision, schemes), [images(2)])
    paths = write_figures(tmp_path, seen, "tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "attention.png", "gelu.png", "residual.png",
    ]  # fmt: skip
    for path in paths:
        with Image.open(path) as picture:
            assert picture.width > picture.height > 300
    with pytest.raises(PqvError, match="cannot be written"):
        write_figures(tmp_path / "none", seen, "tiny")
