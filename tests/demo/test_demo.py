"""The whole demo, with little data and few steps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import pytest

from pqv_onnx.demo import __main__ as demo
from pqv_onnx.graph import inspect_model
from pqv_onnx.graph.load import metadata
from pqv_onnx.runtime.labels import stated_labels

MODELS = ("float", "w8a8", "w4a4")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert demo.main(["--quick", "--output", str(folder)]) == 0
    return folder


def test_every_file_is_written(output: Path) -> None:
    expected = {"report.json", "demo.png", "w8a8.safetensors", "w4a4.safetensors"}
    expected |= {f"{name}.onnx" for name in MODELS}
    assert {path.name for path in output.iterdir()} == expected
    for name in MODELS:
        onnx.checker.check_model(onnx.load(output / f"{name}.onnx"), full_check=True)


def test_report_has_the_promised_form(output: Path) -> None:
    report = json.loads((output / "report.json").read_text())
    assert set(report) == {"data", *MODELS}
    assert set(report["data"]) == {"train", "test"}
    assert set(report["float"]) == {"top1", "bytes", "latency_ms"}
    for name in MODELS[1:]:
        section = report[name]
        assert set(section) == {
            "top1_fakequant",
            "top1_oracle",
            "top1_onnxruntime",
            "top1_functions",
            "bytes",
            "latency_ms",
            "float_nodes",
            "bit_exact",
        }
        assert section["bit_exact"] is True
        assert section["float_nodes"] == 0
        assert section["top1_oracle"] == section["top1_onnxruntime"] == section["top1_functions"]
        proto = onnx.load(output / f"{name}.onnx")
        assert stated_labels(metadata(proto)) == tuple("0123456789")
        stated = inspect_model(output / f"{name}.onnx")["accuracy"]
        assert stated["top1"] == section["top1_onnxruntime"]
        assert (stated["images"], stated["dataset"]) == (report["data"]["test"], "digits, test")
        assert section["bytes"] == (output / f"{name}.onnx").stat().st_size


def test_without_torch_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert demo.main(["--quick", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: the demo needs torch: pip install 'torch>=")


def test_unwritable_output_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert demo.main(["--quick", "--output", str(blocked)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
