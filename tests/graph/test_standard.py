"""Files of standard ops: QDQ and float."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pqv_onnx.errors import PqvError  # noqa: E402
from pqv_onnx.graph.export import IR_VERSION  # noqa: E402
from pqv_onnx.graph.load import load_model, metadata  # noqa: E402
from pqv_onnx.graph.normalise import TakePixels  # noqa: E402
from pqv_onnx.graph.standard import export_standard  # noqa: E402
from pqv_onnx.graph.translate import OPSET  # noqa: E402
from pqv_onnx.qat import calibrate, convert_to_qat, exact  # noqa: E402
from pqv_onnx.runtime.preprocess import ModelInput  # noqa: E402
from pqv_onnx.spec import QuantSpec  # noqa: E402


def run(path: Path, images: Any) -> Any:
    session = onnxruntime.InferenceSession(path)
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_qdq_has_the_codes_steps_and_clips_of_the_model(
    tiny_qat: dict[str, Any], tiny_qdq: Path, tmp_path: Path, precision: str
) -> None:
    model, path = tiny_qat[precision], tiny_qdq
    if precision == "w4a4":
        path = tmp_path / "m.onnx"
        export_standard(model, path, "qdq")
    proto = load_model(path)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    constants = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
    }
    nodes = {node.name: node for node in proto.graph.node}
    layer = model.get_submodule("blocks.0.mlp.fc1")
    codes = constants[nodes["blocks.0.mlp.fc1/DequantizeLinear"].input[0]]
    np.testing.assert_array_equal(codes.T, layer.quantizer.codes(layer.weight).numpy())
    steps = constants[nodes["blocks.0.mlp.fc1/DequantizeLinear"].input[1]]
    np.testing.assert_array_equal(steps, layer.quantizer.step.float().flatten().detach().numpy())
    clips = [node for node in proto.graph.node if node.op_type == "Clip"]
    assert bool(clips) == (precision == "w4a4")
    gelu = model.get_submodule("blocks.0.mlp.act").quantizer
    (given,) = nodes["blocks.0.mlp.act.quantizer/DequantizeLinear"].output
    assert [n.op_type for n in proto.graph.node if given in n.input] == ["MatMul"]  # to be fused
    zero = constants[nodes["blocks.0.mlp.act.quantizer/QuantizeLinear"].input[2]]
    assert zero == gelu.zero_point.max()


def test_qdq_has_one_step_for_all_channels_of_an_activation(
    tiny_qat: dict[str, Any], tmp_path: Path
) -> None:
    model = copy.deepcopy(tiny_qat["w8a8"])
    residual = model.get_submodule("blocks.0.residual1")
    residual.exponent[:3] = torch.tensor([2, 0, 1])
    export_standard(model, tmp_path / "m.onnx", "qdq")
    proto = load_model(tmp_path / "m.onnx")
    constants = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
    }
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[1]].ndim == 0
    (given,) = (n for n in proto.graph.node if n.name == "blocks.0.residual1/DequantizeLinear")
    (scaled,) = (n for n in proto.graph.node if given.output[0] in n.input)
    assert scaled.op_type == "Mul"
    ratio = next(constants[name] for name in scaled.input if name in constants)
    step = residual.channel_step.detach().float().numpy()
    np.testing.assert_array_equal(constants[given.input[1]] * ratio, step)
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = model.eval()(images)
    assert (run(tmp_path / "m.onnx", images) - wanted).norm() < 0.5 * wanted.norm()


def test_qdq_is_near_the_model_for_any_batch(tiny_qat: dict[str, Any], tiny_qdq: Path) -> None:
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = tiny_qat["w8a8"].eval()(images)
    found = run(tiny_qdq, images)
    assert found.shape == wanted.shape
    # Far more than rounding differently does; a scale that is wrong is more than this.
    assert (found - wanted).norm() < 0.5 * wanted.norm()


def swin() -> Any:
    from timm.models.swin_transformer import SwinTransformer

    sizes = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 16}
    return SwinTransformer(**sizes, depths=(2,), num_heads=(2,), num_classes=5)


def rotary() -> Any:
    from timm.models.eva import Eva

    sizes = {"img_size": 28, "patch_size": 7, "embed_dim": 32, "depth": 1, "num_heads": 2}
    return Eva(**sizes, num_classes=5, use_rot_pos_emb=True, swiglu_mlp=True)


@pytest.mark.parametrize("make", [swin, rotary])
def test_float_is_the_float_model(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = make().eval()
    model = convert_to_qat(source, QuantSpec.preset("w4a4"))
    images = torch.randn(3, 3, *model.config.backbone.img_size)
    calibrate(model, images)
    export_standard(model, tmp_path / "m.onnx", "float")
    with torch.no_grad():
        torch.testing.assert_close(
            run(tmp_path / "m.onnx", images), source(images), rtol=1e-3, atol=1e-4
        )
    assert metadata(load_model(tmp_path / "m.onnx"))["pqv.precision"] == "float"
    export_standard(model, tmp_path / "m.onnx", "qdq")
    assert run(tmp_path / "m.onnx", images).shape == (3, 5)
    assert exact.rounds()


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_pixels_are_normalised_as_python_does_it(layout: str) -> None:
    wanted = ModelInput((0.48, 0.45, 0.4), (0.22, 0.2, 0.25), channels=3, height=16, width=16)
    images = ir.val("images", ir.DataType.FLOAT, ("batch", 3, 16, 16))
    tape = ir.tape.Tape()
    same = tape.op("Identity", [images], output=ir.val("same", images.dtype, images.shape))
    graph = ir.Graph([images], [same], nodes=tape.nodes, opset_imports={"": OPSET}, name="front")
    model = TakePixels(wanted, layout)(ir.Model(graph, ir_version=IR_VERSION)).model
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    pixels = np.arange(2 * 16 * 16 * 3).reshape(2, 16, 16, 3).astype(np.uint8)
    given = pixels if layout == "nhwc" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    (found,) = session.run(None, {"pixels": given})
    assert np.array_equal(found, wanted.from_pixels(pixels))


def test_a_file_of_images_that_gives_classes(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_standard(tiny_qat["w8a8"], path, "qdq", input="image", top_k=2)
    stated = ModelInput.from_metadata(metadata(load_model(path)))
    assert (stated.input, stated.layout) == ("image", "hwc")
    image = np.random.default_rng(0).integers(0, 256, (18, 16, 3), np.uint8)
    logits, shares, classes = onnxruntime.InferenceSession(path).run(None, {"image": image})
    Image.fromarray(image).save(tmp_path / "x.png")
    normalised = replace(stated, input="float", layout="nchw").load(tmp_path / "x.png")
    with torch.no_grad():
        wanted = tiny_qat["w8a8"].eval()(torch.from_numpy(normalised)).numpy()
    assert np.linalg.norm(logits - wanted) < 0.5 * np.linalg.norm(wanted)
    assert shares.shape == classes.shape == (1, 2) and classes[0, 0] == logits.argmax()


def test_what_cannot_be_exported(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="qdq or float, not tflite"):
        export_standard(tiny_qat["w8a8"], tmp_path / "m.onnx", "tflite")  # type: ignore[arg-type]
    with pytest.raises(PqvError, match="the best 6 classes were asked for, the model has 5"):
        export_standard(tiny_qat["w8a8"], tmp_path / "m.onnx", "qdq", top_k=6)
    with pytest.raises(PqvError, match="input must be float, uint8, image or encoded, not int8"):
        export_standard(tiny_qat["w8a8"], tmp_path / "m.onnx", "qdq", input="int8")  # type: ignore[arg-type]
    fresh = convert_to_qat(swin(), QuantSpec.preset("w8a8"))
    with pytest.raises(PqvError, match="calibrate the model first"):
        export_standard(fresh, tmp_path / "m.onnx", "qdq")
    assert not list(tmp_path.iterdir())
