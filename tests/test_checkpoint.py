"""Checkpoints: a bit-equal round trip, and one sentence for whatever is wrong with a file."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path
from random import Random
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pqv_onnx.checkpoint import FORMAT, is_qat, load_float, load_qat, save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.qat import QuantModel, convert_to_qat
from pqv_onnx.qat.build import set_image_size
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, float_model, images, qat_model
from tests.trace.test_store import damaged


@pytest.fixture
def model() -> QuantModel:
    return qat_model()


@pytest.fixture
def checkpoint(model: QuantModel, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_qat(path, model)
    return path


def _content(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()[FORMAT])
        return found


def _rewrite(path: Path, state: dict[str, Tensor], **changes: Any) -> None:
    save_file(state, path, {FORMAT: json.dumps(_content(path) | changes)})


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_round_trip_is_bit_equal(variant: str, precision: str, tmp_path: Path) -> None:
    model = qat_model(variant, precision)
    save_qat(tmp_path / "m.safetensors", model)
    loaded = load_qat(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    assert torch.equal(loaded(images(4)), model(images(4)))
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert not loaded.training
    assert [p.requires_grad for p in loaded.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    assert loaded.checkpoint_sha256 is not None and len(loaded.checkpoint_sha256) == 64
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_bits_of_single_layers_are_kept(tmp_path: Path) -> None:
    model = qat_model("swin", "w8a8", weight_bits={"layers.0.*": 4})
    save_qat(tmp_path / "m.safetensors", model)
    loaded = load_qat(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    assert loaded.block_layers()["layers.0.blocks.1.mlp.fc1"].quantizer.bits == 4
    assert torch.equal(loaded(images(4)), model(images(4)))


@pytest.mark.parametrize("ending", [".pth", ".pt"])
def test_torch_files_of_weights(ending: str, model: QuantModel, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    torch.save({"state_dict": model.state_dict(), "config": model.config.to_dict()}, path)
    loaded = load_qat(path)
    assert loaded.config == model.config
    assert torch.equal(loaded(images(4)), model(images(4)))
    assert is_qat(path)
    torch.save({"state_dict": model.state_dict()}, path)
    assert not is_qat(path)
    path.write_bytes(b"")
    with pytest.raises(PqvError, match=f"{path}: is damaged"):
        is_qat(path)


_IO = Path("/proc/self/io")


@pytest.mark.skipif(not _IO.exists(), reason="Linux counts what a process reads")
def test_what_a_torch_file_is_shows_without_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    for zipped in (False, True):
        torch.save({"weight": torch.ones(2**20)}, path, _use_new_zipfile_serialization=zipped)
        before = _bytes_read()
        assert not is_qat(path)
    assert _bytes_read() - before < 2**20


def test_an_old_torch_file_may_hold_what_ends_a_zip_file(tmp_path: Path) -> None:
    weights = torch.zeros(4096, dtype=torch.uint8)
    weights[1024:1046] = torch.tensor([*b"PK\5\6", *bytes(18)], dtype=torch.uint8)
    torch.save({"w": weights}, tmp_path / "m.pth", _use_new_zipfile_serialization=False)
    assert not is_qat(tmp_path / "m.pth")


def _bytes_read() -> int:
    return int(_IO.read_text().split()[1])


def test_wrong_keys(checkpoint: Path) -> None:
    state = load_file(checkpoint)
    bias = state.pop("head.bias")
    _rewrite(checkpoint, state)
    with pytest.raises(PqvError, match="model.safetensors: missing head.bias$"):
        load_qat(checkpoint)
    _rewrite(checkpoint, state | {"head.bias": bias, "tail.bias": bias.clone()})
    with pytest.raises(PqvError, match="unknown tail.bias$"):
        load_qat(checkpoint)
    _rewrite(checkpoint, state | {"head.bias": bias[:3]})
    with pytest.raises(PqvError, match=r"head.bias is .* \[3\], expected torch.float32 \[7\]"):
        load_qat(checkpoint)
    _rewrite(checkpoint, state | {"head.bias": bias.half()})
    with pytest.raises(PqvError, match=r"head.bias is torch.float16 \[7\], expected torch.float32"):
        load_qat(checkpoint)
    _rewrite(checkpoint, state | {"head.bias": bias * torch.nan})
    with pytest.raises(PqvError, match="head.bias has values that are not finite"):
        load_qat(checkpoint)
    exponent = torch.full_like(state["residual.exponent"], 9)
    _rewrite(checkpoint, state | {"head.bias": bias, "residual.exponent": exponent})
    with pytest.raises(PqvError, match=r"residual.exponent has exponents outside of \[0, 3\]"):
        load_qat(checkpoint)
    ratio = state["blocks.0.mlp.act.quantizer.ratio"]
    state |= {"head.bias": bias, "blocks.0.mlp.act.quantizer.ratio": ratio * -1}
    _rewrite(checkpoint, state)
    with pytest.raises(PqvError, match=r"act.quantizer.ratio has values that are not positive"):
        load_qat(checkpoint)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (None, "the metadata have no pqv_onnx.qat"),
        ("{", "not JSON with version and config"),
        ("[]", "not JSON with version and config"),
        ('{"version": 2}', "not JSON with version and config"),
        ('{"version": 3, "config": {}}', "is of version 3 of the format, expected 2"),
        ('{"version": 2, "config": []}', r"model config: found \[\], expected a table"),
        ('{"version": 2, "config": {}}', "model config: found no key backbone"),
    ],
)
def test_wrong_metadata(metadata: str | None, sentence: str, checkpoint: Path) -> None:
    entries = {} if metadata is None else {FORMAT: metadata}
    save_file(load_file(checkpoint), checkpoint, entries)
    with pytest.raises(PqvError, match=sentence):
        load_qat(checkpoint)


@pytest.mark.parametrize(
    ("part", "field", "value", "sentence"),
    [
        ("backbone", "architecture", 5, "config: backbone.architecture is 5, expected a string"),
        ("backbone", "graph", [], "graph: expected a list of nodes"),
        ("backbone", "graph", [{"kind": "input"}], "graph: node 0 is damaged"),
        ("backbone", "family", "vit", "config: unknown key backbone.family, expected one of"),
        ("backbone", "task", "poem", "model config: task is 'poem', expected logits, embedding"),
        ("preprocessing", "mean", [0.5, 0.5], "mean has 2 values, expected 1"),
        ("preprocessing", "std", [0.0], "std is .* expected above 0"),
        ("preprocessing", "crop_pct", None, "preprocessing.crop_pct is None, expected a number"),
        ("spec", "weight", {"bits": 2, "scheme": "per-channel"}, "quantization spec: weight is"),
        (None, "labels", ["a"], "found 1 labels, expected 7"),
        (None, "labels", ["\udce9"] * 7, "found the label .*, expected a line of text"),
        (None, "labels", "abcdefg", "labels is 'abcdefg', expected a list of values"),
        (None, "accuracy", "good", "accuracy is 'good', expected a number"),
        (None, "colour", "red", "model config: unknown key colour, expected one of backbone"),
    ],
)
def test_wrong_config(
    part: str | None, field: str, value: Any, sentence: str, checkpoint: Path
) -> None:
    config = _content(checkpoint)["config"]
    (config if part is None else config[part])[field] = value
    _rewrite(checkpoint, load_file(checkpoint), config=config)
    with pytest.raises(PqvError, match=sentence):
        load_qat(checkpoint)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ("backbone", "task"),
        ("spec", "gelu"),
        ("preprocessing", "crop_pct"),
        ("preprocessing", "interpolation"),
        (None, "labels"),
        (None, "accuracy"),
    ],
)
def test_a_config_without_a_field(part: str | None, field: str, checkpoint: Path) -> None:
    config = _content(checkpoint)["config"]
    del (config if part is None else config[part])[field]
    _rewrite(checkpoint, load_file(checkpoint), config=config)
    with pytest.raises(PqvError, match=f"found no key .*{field}$"):
        load_qat(checkpoint)


def test_labels_and_accuracy_are_kept(tmp_path: Path) -> None:
    labels = tuple("abcdefg")
    model = convert_to_qat(float_model(), QuantSpec.preset("w8a8"), labels=labels)
    data = model.config.to_dict() | {"accuracy": 0.5}
    found = type(model.config).from_dict(json.loads(json.dumps(data)))
    assert (found.labels, found.accuracy) == (labels, 0.5)


def test_a_graph_that_is_not_that_of_the_weights(checkpoint: Path) -> None:
    """Nodes of other sizes, in another order, or none of a model."""
    config = _content(checkpoint)["config"]
    graph = config["backbone"]["graph"]
    other = qat_model("average").config.to_dict()["backbone"]["graph"]
    cut = [node for node in graph if not node["path"].startswith("blocks.1")]
    wider = json.loads(json.dumps(graph).replace("32", "64"))
    for wrong in (other, cut, wider, graph[:1], graph[:-1], [*graph[:3], *graph[5:]]):
        config["backbone"]["graph"] = wrong
        _rewrite(checkpoint, load_file(checkpoint), config=config)
        with pytest.raises(PqvError, match="^[^\n]*model.safetensors: [^\n]*$"):
            load_qat(checkpoint)


def test_damaged_graphs(checkpoint: Path) -> None:
    """Whatever is wrong in a file: it is refused, or a model is read that runs."""
    whole, state, rng, refused = _content(checkpoint)["config"], load_file(checkpoint), Random(0), 0
    for _ in range(60):
        config = json.loads(json.dumps(whole))
        config["backbone"]["graph"] = damaged(json.dumps(whole["backbone"]["graph"]), rng)
        _rewrite(checkpoint, state, config=config)
        try:
            logits = load_qat(checkpoint)(images(2))
        except PqvError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert torch.isfinite(logits).all()
    assert refused > 20


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_truncated_files(ending: str, share: float, model: QuantModel, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    if ending == ".pth":
        torch.save({"state_dict": model.state_dict(), "config": model.config.to_dict()}, path)
    else:
        save_qat(path, model)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(PqvError, match="is no readable safetensors file|is damaged or holds"):
        load_qat(path)


class _Hostile:
    """Unpickling this would make a file."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("hostile"),)


@pytest.mark.parametrize(
    "save", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))]
)
def test_pickles_that_are_not_weights(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.pth"
    save({"state_dict": _Hostile(), "config": {}}, path)
    with pytest.raises(PqvError, match="is damaged or holds something other than weights"):
        load_qat(path)
    assert [file.name for file in tmp_path.iterdir()] == ["m.pth"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"model": {}}, "expected a dict with state_dict and config"),
        ([1, 2], "expected a dict with state_dict and config"),
        ({"state_dict": {"a": 1}, "config": {}}, "something other than tensors by name"),
        ({"state_dict": {}, "config": {}}, "model config: found no key backbone"),
    ],
)
def test_torch_files_of_something_else(content: Any, sentence: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "m.pth")
    with pytest.raises(PqvError, match=sentence):
        load_qat(tmp_path / "m.pth")


def test_missing_files_and_other_endings(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="m.safetensors: there is no such file"):
        load_qat(tmp_path / "m.safetensors")
    with pytest.raises(PqvError, match="is a folder, not a file"):
        load_qat(tmp_path)
    (tmp_path / "m.bin").touch()
    with pytest.raises(PqvError, match="ends in '.bin', expected .safetensors, .pth or .pt"):
        load_qat(tmp_path / "m.bin")


def test_outputs_that_cannot_be_written(model: QuantModel, tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="cannot be written"):
        save_qat(tmp_path / "nowhere" / "m.safetensors", model)
    with pytest.raises(PqvError, match="cannot be written"):
        save_qat(tmp_path, model)
    with pytest.raises(PqvError, match="is written as .safetensors"):
        save_qat(tmp_path / "m.onnx", model)
    with pytest.raises(PqvError, match="calibrate the model first"):
        save_qat(
            tmp_path / "m.safetensors", convert_to_qat(float_model(), QuantSpec.preset("w4a4"))
        )
    assert not list(tmp_path.iterdir())


def test_float_checkpoints_with_derived_buffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older versions of timm stored Swin's masks and position indices."""
    monkeypatch.setattr("pqv_onnx.checkpoint.create_timm", lambda _name, **_: float_model("swin"))
    model = float_model("swin")
    state = dict(model.named_buffers()) | model.state_dict()
    assert "layers.0.blocks.1.attn_mask" in state
    torch.save(state, tmp_path / "m.pth")
    loaded = load_float(tmp_path / "m.pth", "swin")
    assert torch.equal(loaded(images(2)), model(images(2)))
    index = "layers.1.blocks.0.attn.relative_position_index"
    for wrong in (state[index] + 1, state[index][:3]):
        torch.save(state | {index: wrong}, tmp_path / "m.pth")
        with pytest.raises(PqvError, match=f"{index} is not what the geometry of the model gives"):
            load_float(tmp_path / "m.pth", "swin")


@pytest.mark.parametrize("nesting", [None, "model", "state_dict"])
def test_float_checkpoints(nesting: str | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3).eval()
    state: Any = model.state_dict()
    torch.save(state if nesting is None else {nesting: state}, tmp_path / "m.pth")
    loaded = load_float(tmp_path / "m.pth", "vit_tiny_patch16_224")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, state[name]), name
    with pytest.raises(
        PqvError, match="not the weights of deit_tiny_distilled.*: missing dist_token"
    ):
        load_float(tmp_path / "m.pth", "deit_tiny_distilled_patch16_224")
    with pytest.raises(PqvError, match="unknown timm model"):
        load_float(tmp_path / "m.pth", "vit_of_nowhere")


def test_float_checkpoints_as_programs_write_them(tmp_path: Path) -> None:
    """As timm's ``train.py``, with a name beside the weights, of DataParallel, of other types."""
    torch.manual_seed(0)
    name, path = "vit_tiny_patch16_224", tmp_path / "m.pth"
    state = timm.create_model(name, num_classes=3).half().state_dict()
    options = argparse.Namespace(lr=0.1, model=name)
    wrapped = {f"module.{key}": value.double() for key, value in state.items()}
    for content in (
        {"arch": name, "state_dict": state, "args": options, "state_dict_ema": {}},
        {"model": name, "state_dict": state},
        wrapped,
    ):
        torch.save(content, path)
        for key, value in load_float(path, name).state_dict().items():
            assert torch.equal(value, state[key].float()), key
    torch.save({"state_dict": state, "args": path}, path)
    with pytest.raises(PqvError, match=r"\(pathlib\.\w+\): save model.state_dict\(\) alone"):
        load_float(path, name)


def test_heads_that_do_not_fit(tmp_path: Path) -> None:
    name, path = "vit_tiny_patch16_224", tmp_path / "m.pth"
    torch.save({"head.weight": torch.tensor(1.0)}, path)
    with pytest.raises(PqvError, match="not the weights of vit_tiny.*: missing blocks"):
        load_float(path, name)
    state = timm.create_model(name, num_classes=3).state_dict()
    torch.save(state | {"head.bias": torch.zeros(5)}, path)
    with pytest.raises(PqvError, match=r"head.bias is torch.float32 \[5\], expected .* \[3\]"):
        load_float(path, name, (32, 48))


@pytest.mark.parametrize("of_file", [(224, 224), (32, 48)])
def test_float_checkpoints_for_another_size(of_file: tuple[int, int], tmp_path: Path) -> None:
    """The file's positions are those that timm makes, or of the size that is asked for."""
    name, size = "vit_tiny_patch16_224", (32, 48)
    model = timm.create_model(name, img_size=of_file, num_classes=3).eval()
    torch.save(model.state_dict(), tmp_path / "m.pth")
    loaded = load_float(tmp_path / "m.pth", name, size)
    set_image_size(model, size)
    x = torch.randn(1, 3, *size)
    assert torch.equal(loaded(x), model(x))
    with pytest.raises(PqvError, match="m.pth: not the weights of vit_tiny.*: pos_embed is"):
        load_float(tmp_path / "m.pth", "vit_tiny_patch16_384", (64, 64))


def test_a_quantized_model_is_no_float_model(model: QuantModel, tmp_path: Path) -> None:
    save_qat(tmp_path / "m.safetensors", model)
    with pytest.raises(PqvError, match="of a quantized model, expected float weights"):
        load_float(tmp_path / "m.safetensors", "vit_tiny_patch16_224")


def test_equal_models_are_equal_files(model: QuantModel, tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        save_qat(tmp_path / name, model)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_exponents_of_a_residual_of_one_step(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model = qat_model(schemes={"residual": "per-tensor"})
    save_qat(path, model)
    assert load_qat(path).config == model.config
    state = load_file(path)
    _rewrite(path, state | {"residual.exponent": torch.ones_like(state["residual.exponent"])})
    with pytest.raises(PqvError, match=r"residual.exponent has exponents outside of \[0, 0\]"):
        load_qat(path)
