from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import pqv_onnx
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime import library
from pqv_onnx.runtime.session import session_options


def test_a_named_library_that_is_missing_is_an_error(
    tiny_onnx: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PQV_LIBRARY", "/nowhere/lib.so")
    with pytest.raises(PqvError, match="/nowhere/lib.so"):
        pqv_onnx.InferenceSession(tiny_onnx["w4a4"])


def test_a_library_that_is_none_is_an_error(
    tiny_onnx: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "fake.so"
    fake.write_text("not a library")
    monkeypatch.setenv("PQV_LIBRARY", str(fake))
    with pytest.raises(PqvError, match="not registered"):
        pqv_onnx.InferenceSession(tiny_onnx["w4a4"])


def test_without_a_library_the_functions_run_and_a_warning_says_so(
    tiny_onnx: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.zeros((1, 3, 16, 16), np.float32)
    (expected,) = pqv_onnx.InferenceSession(tiny_onnx["w4a4"]).run(None, {"images": images})
    monkeypatch.delenv("PQV_LIBRARY", raising=False)
    monkeypatch.setattr(library, "LIBRARY_NAME", "no_such_library.so")
    with pytest.warns(UserWarning, match="running the models' functions instead"):
        session = pqv_onnx.InferenceSession(tiny_onnx["w4a4"])
    assert np.array_equal(session.run(None, {"images": images})[0], expected)


def test_a_missing_model_and_one_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="there is no such file"):
        pqv_onnx.InferenceSession(tmp_path / "m.onnx")
    with pytest.raises(PqvError, match="is a folder, not a file"):
        pqv_onnx.InferenceSession(tmp_path)
    with pytest.raises(PqvError, match="the model: "):
        pqv_onnx.InferenceSession(b"not a model")


def test_metadata_that_is_no_text(tiny_onnx: dict[str, Path]) -> None:
    model = tiny_onnx["w4a4"].read_bytes()
    key = b"pqv.precision"
    assert key in model
    at = model.index(key) + len(key) + 2  # the value's tag and length
    broken = model[:at] + b"\xff" + model[at + 1 :]
    for use_library in (True, False):
        with pytest.raises(PqvError, match="the model: its metadata is not UTF-8"):
            pqv_onnx.InferenceSession(broken, use_library=use_library)


def test_options_and_bytes_are_taken(tiny_onnx: dict[str, Path]) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for precision in ("w8a8", "w4a4"):  # one object may serve several sessions
        session = pqv_onnx.InferenceSession(tiny_onnx[precision].read_bytes(), options)
        assert session.get_session_options().intra_op_num_threads == 1


def test_options_that_have_the_library_already(tiny_onnx: dict[str, Path]) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(pqv_onnx.get_library_path())
    with pytest.raises(PqvError, match="registered twice with these session options: give new"):
        pqv_onnx.InferenceSession(tiny_onnx["w4a4"], options)


def test_one_provider_by_its_name(tiny_onnx: dict[str, Path]) -> None:
    session = pqv_onnx.InferenceSession(tiny_onnx["w4a4"], providers="CPUExecutionProvider")
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_a_model_of_another_op_domain_version(tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx["w4a4"])
    for entry in model.metadata_props:
        if entry.key == "pqv.op_domain_version":
            entry.value = "2"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(PqvError, match="wants version 2 of the op domain pqv, the library has"):
        pqv_onnx.InferenceSession(tmp_path / "m.onnx")
    # The functions of the file are of its own version.
    pqv_onnx.InferenceSession(tmp_path / "m.onnx", use_library=False)


def test_more_threads_than_cores_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    key = "session.intra_op.allow_spinning"
    assert session_options(1000).get_session_config_entry(key) == "0"
    assert session_options(1000).intra_op_num_threads == 1000
    with pytest.raises(RuntimeError):
        session_options(2).get_session_config_entry(key)
