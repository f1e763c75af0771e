"""What every test shares."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest


def pytest_configure() -> None:
    """One thread per worker under xdist: more only makes the workers wait for each other."""
    if "PYTEST_XDIST_WORKER" in os.environ and importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_forced_isa(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PQV_ISA set in the shell must not decide which kernels the tests run."""
    monkeypatch.delenv("PQV_ISA", raising=False)


@pytest.fixture(autouse=True)
def _parse_the_exporters_functions_once() -> None:
    """torch parses the sources of 500 functions at each export, for two seconds.

    The process's first export is as it is; where torch is another one, all are.
    """
    exporter = sys.modules.get("torch.onnx._internal.exporter._registration")
    source = getattr(exporter, "onnxscript_apis", None)
    if source is not None and not hasattr(source.get_torchlib_ops, "cache_info"):
        source.get_torchlib_ops = functools.cache(source.get_torchlib_ops)


PRECISIONS = ("w8a8", "w4a4")


@pytest.fixture(scope="session")
def tiny_qat() -> dict[str, Any]:
    """A calibrated QAT model of a few thousand weights per precision; do not change them."""
    torch = pytest.importorskip("torch")
    from timm.models.vision_transformer import VisionTransformer

    from pqv_onnx.qat import calibrate, convert_to_qat
    from pqv_onnx.spec import QuantSpec

    models = {}
    for precision in PRECISIONS:
        torch.manual_seed(0)
        float_model = VisionTransformer(
            img_size=16, patch_size=4, in_chans=3, num_classes=5, embed_dim=36, depth=2, num_heads=3
        )
        for name, parameter in float_model.named_parameters():
            if name.endswith("weight"):  # livelier than timm's initial weights
                torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.2)
        models[precision] = convert_to_qat(float_model, QuantSpec.preset(precision))
        calibrate(models[precision], torch.randn(16, 3, 16, 16))
    return models


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tiny_qat: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The tiny models as checkpoints."""
    from pqv_onnx.checkpoint import save_qat

    folder = tmp_path_factory.mktemp("checkpoints")
    for precision, model in tiny_qat.items():
        save_qat(folder / f"{precision}.safetensors", model)
    return {precision: folder / f"{precision}.safetensors" for precision in tiny_qat}


@pytest.fixture(scope="session")
def tiny_onnx(
    tiny_qat: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The tiny models as exported files with float input."""
    from pqv_onnx.graph import export_onnx
    from pqv_onnx.integer import convert_to_integer

    folder = tmp_path_factory.mktemp("exported")
    for precision, model in tiny_qat.items():
        export_onnx(convert_to_integer(model), folder / f"{precision}.onnx")
    return {precision: folder / f"{precision}.onnx" for precision in tiny_qat}


@pytest.fixture(scope="session")
def tiny_qdq(tiny_checkpoint: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The W8A8 model's checkpoint as a QDQ file: its export takes ten seconds."""
    from pqv_onnx.checkpoint import load_qat
    from pqv_onnx.graph.standard import export_standard

    path = tmp_path_factory.mktemp("qdq") / "w8a8.onnx"
    export_standard(load_qat(tiny_checkpoint["w8a8"]), path, "qdq")
    return path
