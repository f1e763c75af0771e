from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.train.evaluate import (
    Subject,
    common_preprocessing,
    count_correct,
    evaluate,
    remembering,
    subjects_of,
)
from pqv_onnx.train.sensitivity import distance

PLAIN = ModelInput((0.5,) * 3, (0.5,) * 3, channels=3, height=16, width=16)


def test_ranks() -> None:
    logits = torch.tensor([[9.0, 8, 7, 6, 5, 4, 3]]).expand(7, 7)
    hits = [count_correct(logits[:1], torch.tensor([label])).tolist() for label in range(7)]
    assert hits == [[1, 1], [0, 1], [0, 1], [0, 1], [0, 1], [0, 0], [0, 0]]


def test_of_equal_logits_the_lower_class_is_first() -> None:
    logits = torch.zeros(1, 7)
    assert count_correct(logits, torch.tensor([0])).tolist() == [1, 1]
    assert count_correct(logits, torch.tensor([4])).tolist() == [0, 1]
    assert count_correct(logits, torch.tensor([5])).tolist() == [0, 0]


def test_nan_is_never_right() -> None:
    logits = torch.tensor([[float("nan"), 0.0]])
    assert count_correct(logits, torch.tensor([0])).tolist() == [0, 0]


def make(name: str, predict: object = None, kind: str = "integer", **changes: object) -> Subject:
    return Subject(name, kind, 7, replace(PLAIN, **changes), predict)  # type: ignore[arg-type]


def test_subjects_see_the_same_images_and_processes_are_summed() -> None:
    def predict(pixels: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(pixels[:, 0, 0, 0].long(), 7).float()

    pixels = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 2, 2, 3)
    batches = [(pixels[:4], torch.tensor([0, 1, 2, 0])), (pixels[4:], torch.tensor([4, 6]))]
    subjects = [make("a", predict), make("b", lambda pixels: 1 - predict(pixels))]
    found = evaluate(subjects, batches, add=lambda counts: 2 * counts)
    assert [accuracy.images for accuracy in found] == [12, 12]
    assert found[0].top1 == pytest.approx(100 * 4 / 6)
    # b's best of equals is class 0, which for the fourth image is right.
    assert found[1].top1 == pytest.approx(100 * 1 / 6)
    with pytest.raises(PqvError, match="no images"):
        evaluate(subjects, [])


def test_a_subject_that_remembers_runs_once_for_each_batch() -> None:
    seen: list[int] = []

    def predict(pixels: Tensor) -> Tensor:
        seen.append(int(pixels[0, 0, 0, 0]))
        return pixels[:, 0, 0].float()

    subject = remembering(make("a", predict))
    batches = [torch.full((2, 1, 1, 7), value, dtype=torch.uint8) for value in (3, 5)]
    for _ in range(2):
        for pixels in batches:
            assert torch.equal(subject.predict(pixels.clone()), pixels[:, 0, 0].float())
    assert seen == [3, 5]


def test_agreement_with_the_float_model() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(10, 7, generator=generator)
    other = logits + 0.5 * torch.randn(10, 7, generator=generator)

    def giving(table: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda pixels: table[pixels[:, 0, 0, 0].long()]

    subjects = [
        make("before", giving(other)),
        make("t", giving(logits), "float"),
        make("equal", giving(logits.clone())),
        make("broken", giving(torch.full_like(other, torch.nan))),
        make("second", giving(-logits), "float"),
    ]
    pixels = torch.arange(10, dtype=torch.uint8)[:, None, None, None]
    batches = [(pixels[s : s + 4], torch.zeros(len(pixels[s : s + 4]), dtype=torch.int64))
               for s in range(0, 10, 4)]  # fmt: skip
    before, own, equal, broken, second = (a.agreement for a in evaluate(subjects, batches))
    assert own is None
    assert before is not None and before.reference == "t"
    assert before.same == 10 * int((logits.argmax(1) == other.argmax(1)).sum())
    cosines = torch.nn.functional.cosine_similarity(logits.double(), other.double())
    assert before.cosine == pytest.approx(cosines.mean().item())
    assert before.sqnr == pytest.approx(distance(logits, other).sqnr)
    assert equal is not None and (equal.same, equal.sqnr) == (100, math.inf)
    assert equal.to_dict()["sqnr"] is None and equal.cosine == pytest.approx(1)
    assert second is not None and second.cosine == pytest.approx(-1)
    assert second.sqnr == pytest.approx(10 * math.log10(1 / 4))
    assert broken is not None and broken.same == 0
    json.dumps(broken.to_dict(), allow_nan=False)


def test_no_agreement_without_a_float_model() -> None:
    batches = [(torch.zeros(2, 1, 1, 3, dtype=torch.uint8), torch.tensor([0, 1]))]
    (found,) = evaluate([make("a", lambda pixels: torch.zeros(len(pixels), 7))], batches)
    assert found.to_dict()["agreement"] is None


def test_subjects_must_want_the_same_images() -> None:
    shared = common_preprocessing([make("a"), make("b", input="uint8", layout="nhwc")])
    assert shared == PLAIN
    with pytest.raises(PqvError, match="a and b want different images: crop_pct 1.0 and 0.9"):
        common_preprocessing([make("a"), make("b", crop_pct=0.9)])
    with pytest.raises(PqvError, match="a has 7 classes, b has 5"):
        common_preprocessing([make("a"), replace(make("b"), classes=5)])


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_integer_model_and_onnx_give_the_same_logits(
    precision: str, tiny_checkpoint: dict[str, Path], tiny_onnx: dict[str, Path]
) -> None:
    subjects = subjects_of(tiny_checkpoint[precision], None, integer=True)
    subjects += subjects_of(tiny_onnx[precision], None, functions=True)
    kinds = [subject.kind for subject in subjects]
    assert kinds == ["fake-quantized", "integer", "onnx, library", "onnx, functions"]
    generator = np.random.default_rng(0)
    pixels = torch.from_numpy(generator.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8))
    _, *integer = [subject.predict(pixels) for subject in subjects]
    assert all(torch.equal(logits, integer[0]) for logits in integer)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    for name in ("none.pth", "none.safetensors", "none.onnx"):
        with pytest.raises(PqvError, match=name):
            subjects_of(tmp_path / name, "deit_tiny_patch16_224")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nonsense")
    with pytest.raises(PqvError, match="no readable safetensors file"):
        subjects_of(bad, None)
    weights = tmp_path / "weights.pth"
    torch.save({}, weights)
    with pytest.raises(PqvError, match="--model"):
        subjects_of(weights, None)
