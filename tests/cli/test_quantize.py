from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Pqv


def test_what_not_every_app_can_give_is_no_choice(pqv: Pqv, tmp_path: Path) -> None:
    done = pqv("quantize", "vit_tiny_patch16_224", "--input", "encoded", "-o", tmp_path / "out")
    assert done.code == 2 and "encoded" in done.err
    assert "encoded" not in pqv("quantize", "--help").out


def test_a_run_that_is_stopped_says_how_it_goes_on(
    pqv: Pqv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = pytest.importorskip("pqv_onnx.workflow.quantize")

    def stopped(model: str, output: Path, *_: Any, **__: Any) -> None:
        output.with_name("out.part").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "quantize", stopped)
    done = pqv("quantize", "vit_tiny_patch16_224", "--data", tmp_path, "-o", tmp_path / "out")
    assert done.code == 130
    assert done.err.endswith(f"stopped: the same command goes on from {tmp_path / 'out.part'}\n")
