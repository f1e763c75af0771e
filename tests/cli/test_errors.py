"""Bad input: one line that names the cause, exit code 1 (2 for usage), nothing half-written."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pqv_onnx.missing import missing_module

Edit = Callable[[onnx.ModelProto], None]


def edited(source: Path, target: Path, edit: Edit) -> Path:
    model = onnx.load(source)
    edit(model)
    target.write_bytes(model.SerializeToString())
    return target


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name == name)


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(t for t in model.graph.initializer if t.name == name)


def set_attribute(name: str, value: int | str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        delete_attribute(name)(model)
        attributes = node(model, "blocks.0.attn.qkv").attribute
        attributes.append(helper.make_attribute(name, value))

    return edit


def delete_attribute(name: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        attributes = node(model, "blocks.0.attn.qkv").attribute
        kept = [a for a in attributes if a.name != name]
        del attributes[:]
        attributes.extend(kept)

    return edit


def drop_input(model: onnx.ModelProto) -> None:
    del node(model, "blocks.0.attn.qkv").input[-1]


def set_op(name: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        node(model, "blocks.0.attn.qkv").op_type = name

    return edit


def set_constant(index: int, change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        found = tensor(model, node(model, "blocks.0.attn.qkv").input[index])
        array = np.ascontiguousarray(change(numpy_helper.to_array(found)))
        found.CopyFrom(numpy_helper.from_array(array, found.name))

    return edit


def cut(array: np.ndarray) -> np.ndarray:
    return array[:-1]


def widen(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int64)


def flatten(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1)


BAD_NODES = {
    "layout name": (set_attribute("layout", "k4n8.v1"), "k4n8.v1"),
    "layout version": (set_attribute("layout", "n8k4.v2"), "n8k4.v2"),
    "K": (set_attribute("K", 40), "expected [14, 10, 16]"),
    "K too small": (set_attribute("K", 0), "K"),
    "K overflowing": (set_attribute("K", 2**62), "K"),
    "N": (set_attribute("N", 2**40), "N"),
    "N mismatch": (set_attribute("N", 100), "expected [13, 9, 16]"),
    "y_bits": (set_attribute("y_bits", 9), "y_bits"),
    "unknown attribute": (set_attribute("alpha", 5), "PackedInt4MatMul has no attribute alpha"),
    "no attribute": (delete_attribute("K"), "PackedInt4MatMul lacks the attribute K"),
    "too few inputs": (drop_input, "PackedInt4MatMul has 4 inputs, expected 5"),
    "unknown op": (set_op("IntMagic"), "version 1 of the op domain pqv has no op IntMagic"),
    "packed size": (set_constant(1, cut), "B"),
    "packed rank": (set_constant(1, flatten), "B"),
    "packed dtype": (set_constant(1, widen), "int64"),
    "bias size": (set_constant(2, cut), "bias"),
    "bias range": (set_constant(2, lambda a: np.full_like(a, 2**30)), "bias"),
    "shift range": (set_constant(3, lambda a: np.full_like(a, 31)), "shift"),
    "multiplier dtype": (set_constant(4, widen), "int64"),
    "weight -8": (set_constant(1, lambda a: np.full_like(a, 0x88)), "-8"),
}


@pytest.mark.parametrize("case", BAD_NODES)
def test_a_bad_node_is_named(case: str, pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    edit, word = BAD_NODES[case]
    model = edited(tiny_onnx["w4a4"], tmp_path / "bad.onnx", edit)
    error = pqv("run", model, "--random", 0).error
    assert word in error
    assert "blocks.0.attn.qkv" in error or "PackedInt4MatMul" in error


def test_a_wrong_rank_at_run_time_is_named(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    """The projection wired to what attention reads."""

    def edit(model: onnx.ModelProto) -> None:
        projection = node(model, "blocks.0.attn.proj")
        projection.input[0] = node(model, "blocks.0.attn.qkv").output[0]

    model = edited(tiny_onnx["w4a4"], tmp_path / "bad.onnx", edit)
    assert "PackedInt4MatMulAdd" in pqv("run", model, "--random", 0).error


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 20000])
def test_a_truncated_model(size: int, pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(tiny_onnx["w4a4"].read_bytes()[:size])
    for command in (("run", bad, "--random", 0), ("verify", bad), ("inspect", bad)):
        assert str(bad) in pqv(*command).error


def test_a_model_without_pqv_ops(pqv, tmp_path: Path) -> None:
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    bad = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, ir_version=10), bad)
    assert "no op of the domain pqv" in pqv("verify", bad).error


def test_a_model_of_a_newer_op_domain(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        next(o for o in model.opset_import if o.domain == "pqv").version = 2

    bad = edited(tiny_onnx["w4a4"], tmp_path / "new.onnx", edit)
    assert "version 2 of the op domain pqv" in pqv("inspect", bad).error


def test_a_model_that_says_so_in_its_metadata(
    pqv, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    def edit(model: onnx.ModelProto) -> None:
        next(e for e in model.metadata_props if e.key == "pqv.op_domain_version").value = "99"

    bad = edited(tiny_onnx["w4a4"], tmp_path / "new.onnx", edit)
    assert f"{bad}: the model wants version 99 of the op domain" in pqv("verify", bad).error


def test_a_malformed_accuracy(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        model.metadata_props.add(key="pqv.accuracy", value="good")

    bad = edited(tiny_onnx["w4a4"], tmp_path / "bad.onnx", edit)
    for command in (("run", bad, "--random", 0), ("info", bad), ("inspect", bad)):
        assert f"{bad}: pqv.accuracy is malformed" in pqv(*command).error


def test_missing_files(pqv, tmp_path: Path, tiny_onnx: dict[str, Path]) -> None:
    missing = tmp_path / "none"
    for command in (
        ("run", missing, "--random", 0),
        ("verify", missing),
        ("inspect", missing),
        ("info", missing),
        ("export", "--checkpoint", missing, "-o", tmp_path / "m.onnx"),
        ("verify", tiny_onnx["w4a4"], "--checkpoint", missing),
        ("verify", tiny_onnx["w4a4"], "--images", missing),
        ("run", tiny_onnx["w4a4"], missing),
    ):
        assert str(missing) in pqv(*command).error
    assert "/dev/null: is a device or a pipe, not a file" in pqv("inspect", "/dev/null").error


def test_outputs_that_cannot_be_written(
    pqv, tmp_path: Path, tiny_checkpoint: dict[str, Path], tiny_onnx: dict[str, Path]
) -> None:
    nowhere = tmp_path / "no" / "m"
    export = ("export", "--checkpoint", tiny_checkpoint["w8a8"])
    assert str(nowhere) in pqv(*export, "-o", nowhere).error
    assert str(tmp_path) in pqv(*export, "-o", tmp_path).error
    assert str(nowhere) in pqv(*export, "-o", tmp_path / "m.onnx", "--json", nowhere).error
    assert str(nowhere) in pqv("inspect", tiny_onnx["w8a8"], "--json", nowhere).error
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_an_input(
    pqv, tiny_onnx: dict[str, Path], tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    model, checkpoint = tiny_onnx["w4a4"], tiny_checkpoint["w4a4"]
    before, out = (model.read_bytes(), checkpoint.read_bytes()), tmp_path / "m.onnx"
    export = ("export", "--checkpoint", checkpoint, "-o")
    calibrate = ("calibrate", "--model", "vit", "--weights", checkpoint, "--data", tmp_path, "-o")
    for command in (
        *(("run", model, "--random", 0, "--json", model), ("inspect", model, "--json", model)),
        *(("verify", model, "--json", model), ("bench", model, "--json", model)),
        *(("info", model, "--json", model), ("eval", model, "--json", model)),
        *((*export, out, "--json", checkpoint), (*export, out, "--json", out)),
        (*export, checkpoint),
        *((*calibrate, checkpoint), (*calibrate, tmp_path / "c", "--json", checkpoint)),
    ):
        assert "expected two files: give another name" in pqv(*command).error, command
    assert (model.read_bytes(), checkpoint.read_bytes()) == before
    assert not list(tmp_path.iterdir())


def test_a_task_that_no_output_has(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        next(entry for entry in model.metadata_props if entry.key == "pqv.task").value = "song"

    bad = edited(tiny_onnx["w4a4"], tmp_path / "bad.onnx", edit)
    error = pqv("run", bad, "--random", 0).error
    assert "pqv.task of the model is 'song', expected that of its outputs, ['logits']" in error


def test_a_failed_export_leaves_the_old_file(pqv, tmp_path: Path) -> None:
    target, bad = tmp_path / "m.onnx", tmp_path / "bad.safetensors"
    target.write_text("precious")
    bad.write_text("not a checkpoint")
    assert str(bad) in pqv("export", "--checkpoint", bad, "-o", target).error
    assert target.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.safetensors", "m.onnx"]


class Exploit:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("a pickle was run",))


def test_a_pickle_that_is_not_weights(pqv, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pth"
    bad.write_bytes(pickle.dumps(Exploit()))
    done = pqv("export", "--checkpoint", bad, "-o", tmp_path / "m.onnx")
    assert str(bad) in done.error
    assert "a pickle was run" not in done.out
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(("option", "number"), [("--image-size", 5000), ("--num-classes", 30)])
def test_numbers_too_long_for_any(pqv, option: str, number: int, tmp_path: Path) -> None:
    given = ("deit_tiny_patch16_224", "--random-weights", 0, "--data", tmp_path)
    done = pqv("quantize", *given, "-o", tmp_path / "out", option, "9" * number)
    assert done.code == 2 and option in done.err


@pytest.mark.parametrize("size", ["0", "224x", "-16", "1x2x3", "large", "4112"])
def test_bad_image_size(pqv, size: str, tmp_path: Path) -> None:
    given = ("--model", "deit_tiny_patch16_224", "--random-weights", 0, "-o", tmp_path / "m.onnx")
    done = pqv("export", *given, f"--image-size={size}")
    assert done.code == 2
    assert f"--image-size is '{size}', expected pixels up to 4096: 224, 224x320" in done.err


def test_image_size_that_patches_do_not_divide(pqv, tmp_path: Path) -> None:
    given = ("--model", "deit_tiny_patch16_224", "--random-weights", 0, "-o", tmp_path / "m.onnx")
    error = pqv("export", *given, "--image-size", 100).error
    assert "do not divide images of 100: the nearest sizes are 96 and 112" in error
    assert not (tmp_path / "m.onnx").exists()


def test_bad_isa(pqv, tiny_onnx: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQV_ISA", "nonsense")
    model = tiny_onnx["w4a4"]
    for command in (("info",), ("run", model, "--random", 0), ("verify", model)):
        assert "PQV_ISA=nonsense" in pqv(*command).error


def test_unknown_and_unsupported_architectures(pqv, tmp_path: Path) -> None:
    for name in ("no_such_model", "resnet18"):
        flags = ("--model", name, "--random-weights", 0, "-o", tmp_path / "m.onnx")
        assert name in pqv("export", *flags).error


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "-o", "m.onnx"),
        ("export", "-o", "m.onnx", "--model", "deit_tiny_patch16_224"),
        ("export", "--model", "deit_tiny_patch16_224", "--random-weights", "0"),
        ("export", "-o", "m.onnx", "--checkpoint", "a", "--precision", "w3a3"),
        ("verify",),
        ("verify", "m.onnx", "--batch", "0"),
        ("run", "m.onnx"),
        ("no-such-command",),
        ("inspect", "m.onnx", "--no-such-flag"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], pqv) -> None:
    done = pqv(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


def hostile_edits() -> dict[str, Edit]:
    def negative_dims(model: onnx.ModelProto) -> None:
        tensor(model, node(model, "blocks.0.attn.qkv").input[1]).dims[0] = -5

    def huge_dims(model: onnx.ModelProto) -> None:
        tensor(model, node(model, "blocks.0.attn.qkv").input[1]).dims[0] = 2**60

    def weights_as_graph_input(model: onnx.ModelProto) -> None:
        name = node(model, "blocks.0.attn.qkv").input[1]
        found = tensor(model, name)
        model.graph.input.append(
            helper.make_tensor_value_info(name, found.data_type, list(found.dims))
        )
        model.graph.initializer.remove(found)

    def missing_input(model: onnx.ModelProto) -> None:
        del node(model, "blocks.0.attn.qkv").input[2:]

    def missing_attributes(model: onnx.ModelProto) -> None:
        del node(model, "blocks.0.attn.qkv").attribute[:]

    def cycle(model: onnx.ModelProto) -> None:
        node(model, "blocks.0.norm1").input[0] = node(model, "blocks.1.mlp.fc2").output[0]

    def attribute_of_another_type(model: onnx.ModelProto) -> None:
        set_attribute("K", "36")(model)

    return {
        f.__name__: f
        for f in (
            negative_dims,
            huge_dims,
            weights_as_graph_input,
            missing_input,
            missing_attributes,
            cycle,
            attribute_of_another_type,
        )
    }


@pytest.mark.parametrize("name", hostile_edits())
def test_a_hostile_model_does_not_crash_the_process(
    name: str, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    bad = edited(tiny_onnx["w4a4"], tmp_path / "bad.onnx", hostile_edits()[name])
    # Straight to onnxruntime, so that nothing but the op library stands in between.
    code = (
        "import sys, pqv_onnx\n"
        "try:\n    s = pqv_onnx.InferenceSession(sys.argv[1])\n"
        "    import numpy as np\n"
        "    s.run(None, {'images': np.zeros((1, 3, 16, 16), np.float32)})\n"
        "except Exception as e:\n    print(type(e).__name__); sys.exit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bad)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.strip()


def test_json_is_whole(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert pqv("inspect", tiny_onnx["w8a8"], "--json", target).code == 0
    assert json.loads(target.read_text())["float_nodes"] == []


def test_a_missing_package_is_named(pqv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_torch(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("pqv_onnx.cli.app.app", without_torch)
    error = pqv("export", "-o", tmp_path / "m.onnx").error
    assert "this command needs torch: pip install 'torch>=2." in error


@pytest.mark.parametrize("name", ["quantize", "load"])
def test_what_needs_torch_says_so(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import pqv_onnx\n"
        f"try:\n    pqv_onnx.{name}\nexcept pqv_onnx.PqvError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"pqv_onnx.{name} needs torch: pip install 'torch>=2.")


def test_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the extra ``train`` lacks, by the packages' names, for pqv_onnx may be on no index."""
    requirements = ["numpy>=1", "none-such>=2; extra == 'train'", 'torch>=2.9; extra == "train"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: requirements)
    assert missing_module("torch._C").endswith("torch: pip install 'none-such>=2' 'torch>=2.9'")
    assert missing_module("none_such").endswith("none-such: pip install 'none-such>=2'")
    assert missing_module("sklearn").endswith("package sklearn, which is not installed")
