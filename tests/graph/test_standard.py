"""Files of standard ops: QDQ and float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from pqv_onnx.errors import PqvError  # noqa: E402
from pqv_onnx.graph.load import load_model, metadata  # noqa: E402
from pqv_onnx.graph.standard import export_standard  # noqa: E402
from pqv_onnx.qat import calibrate, convert_to_qat, exact  # noqa: E402
from pqv_onnx.spec import QuantSpec  # noqa: E402


def run(path: Path, images: Any) -> Any:
    session = onnxruntime.InferenceSession(path)
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_qdq_has_the_codes_steps_and_clips_of_the_model(
    tiny_qat: dict[str, Any], tmp_path: Path, precision: str
) -> None:
    model = tiny_qat[precision]
    export_standard(model, tmp_path / "m.onnx", "qdq")
    proto = load_model(tmp_path / "m.onnx")
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
    zero = constants[nodes["blocks.0.mlp.act.quantizer/QuantizeLinear"].input[2]]
    assert zero == gelu.zero_point


def test_qdq_is_near_the_model_for_any_batch(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    export_standard(tiny_qat["w8a8"], tmp_path / "m.onnx", "qdq")
    images = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = tiny_qat["w8a8"].eval()(images)
    found = run(tmp_path / "m.onnx", images)
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


def test_what_cannot_be_exported(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="qdq or float, not tflite"):
        export_standard(tiny_qat["w8a8"], tmp_path / "m.onnx", "tflite")  # type: ignore[arg-type]
    fresh = convert_to_qat(swin(), QuantSpec.preset("w8a8"))
    with pytest.raises(PqvError, match="calibrate the model first"):
        export_standard(fresh, tmp_path / "m.onnx", "qdq")
    assert not list(tmp_path.iterdir())
