"""Exported models that decode JPEG and PNG files, and what today's decoder does."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner

import pqv_onnx
from pqv_onnx.android.models import check_model
from pqv_onnx.bench.session import TimedSession
from pqv_onnx.cli.app import app
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.load import load_model, metadata
from pqv_onnx.graph.summary import inspect_model
from pqv_onnx.integer import IntegerModel
from pqv_onnx.runtime.encoded import DOMAIN, register_extensions
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.train.data import Split
from pqv_onnx.train.evaluate import evaluate_split, onnx_subject
from pqv_onnx.verification import verify_model

extensions = pytest.importorskip("onnxruntime_extensions")


@pytest.fixture(scope="module")
def model(integer: IntegerModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoded") / "m.onnx"
    export_onnx(integer, path, input="encoded", top_k=2)
    return path


@pytest.fixture(scope="module")
def decode(model: Path) -> Any:
    """The decoder in front of a model, with nothing that looks at a file before it."""
    front = onnx.load(model)
    (image,) = (value for value in front.graph.value_info if value.name == "image")
    del front.graph.output[:]
    front.graph.output.append(image)
    options = onnxruntime.SessionOptions()
    register_extensions(options)
    session = onnxruntime.InferenceSession(front.SerializeToString(), options)
    return lambda data: session.run(None, {"file": np.frombuffer(data, np.uint8)})[0]


def noise(mode: str = "RGB", size: tuple[int, int] = (48, 64)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def distance(decode: Any, data: bytes) -> int:
    """The largest difference of a value from Pillow's."""
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return int(np.abs(decode(data).astype(int) - wanted).max())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1"])
def test_png_files_have_pillows_pixels(decode: Any, mode: str) -> None:
    assert distance(decode, saved(noise(mode), "PNG")) == 0


def test_jpeg_files_have_others(decode: Any) -> None:
    """If halved chroma is as near as the rest one day, say so in docs/inputs.md."""
    assert distance(decode, saved(noise(), "JPEG", subsampling=0)) <= 1
    smooth = noise(size=(3, 4)).resize((256, 192), Image.Resampling.BICUBIC)
    near, far = (distance(decode, saved(image, "JPEG")) for image in (smooth, noise()))
    assert near > 1 and far > 50


def test_the_rest_has_the_bits_of_the_file_of_images(model: Path, of_images: Path) -> None:
    data = saved(noise(), "PNG")
    for use_library in (True, False):
        session, other = (
            pqv_onnx.InferenceSession(path, use_library=use_library) for path in (model, of_images)
        )
        found = session.run(["logits"], {"file": np.frombuffer(data, np.uint8)})
        assert np.array_equal(found, other.run(None, {"image": np.asarray(noise())}))


def test_what_the_file_says_of_itself(model: Path, tiny_checkpoint: dict[str, Path]) -> None:
    proto = load_model(model)
    wanted = ModelInput.from_metadata(metadata(proto))
    assert (wanted.input, wanted.layout) == ("encoded", "bytes")
    assert {entry.domain: entry.version for entry in proto.opset_import}[DOMAIN] == 1
    assert inspect_model(model)["ops"][DOMAIN] == {"DecodeImage": 1}
    report = verify_model(model, checkpoint=tiny_checkpoint["w4a4"])
    assert report.bit_exact and len(report.comparisons) > 1
    given = np.frombuffer(saved(noise(), "JPEG"), np.uint8)
    assert verify_model(model, images=given).bit_exact
    with pytest.raises(PqvError, match="one file at a time, not 3"):
        verify_model(model, batches=[3])


BAD = {
    "text": (b"this is no image, though it is long enough for one", "not a whole JPEG or PNG"),
    "nothing": (b"", "not a whole JPEG or PNG"),
    "a JPEG that is cut off": (saved(noise(), "JPEG")[:-2], "not a whole JPEG or PNG"),
    "half a JPEG": (saved(noise(), "JPEG")[:2000], "not a whole JPEG or PNG"),
    "half a PNG": (saved(noise(), "PNG")[:2000], "not a whole JPEG or PNG"),
    "another format": (saved(noise(), "BMP"), "not a whole JPEG or PNG"),
    "for printers": (saved(noise("CMYK"), "JPEG"), "in CMYK, for printers, expected RGB"),
    "a grey JPEG": (saved(noise("L"), "JPEG"), "JPEG image is in grey, expected RGB"),
}


@pytest.mark.parametrize("name", BAD)
def test_sessions_look_at_files_first(model: Path, name: str, tmp_path: Path) -> None:
    data, words = BAD[name]
    options = onnxruntime.SessionOptions()
    register_extensions(options)
    for session in (pqv_onnx.InferenceSession(model), pqv_onnx.InferenceSession(model, options)):
        with pytest.raises(PqvError, match=words):
            session.run(None, {"file": np.frombuffer(data, np.uint8)})
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(PqvError, match=f"x.jpg.*{words}"):
        ModelInput.from_metadata(metadata(load_model(model))).load(tmp_path / "x.jpg")


def test_a_device_without_an_end_is_no_image(model: Path) -> None:
    with pytest.raises(PqvError, match="^/dev/zero: is too long: over 256 MB of an image$"):
        ModelInput.from_metadata(metadata(load_model(model))).load("/dev/zero")


def test_nothing_goes_round_the_look(model: Path) -> None:
    session = pqv_onnx.InferenceSession(model)
    with pytest.raises(PqvError, match=r"input is float32\[3\], expected the bytes"):
        session.run(None, {"file": np.zeros(3, np.float32)})
    with pytest.raises(PqvError, match="run_with_iobinding would not look at an image file"):
        session.run_with_iobinding(session.io_binding())


@pytest.mark.parametrize(("name", "hangs"), [("text", False), ("a JPEG that is cut off", True)])
def test_why_they_do(model: Path, name: str, hangs: bool, tmp_path: Path) -> None:
    """If the decoder refuses these one day, the look may go."""
    (tmp_path / "file").write_bytes(BAD[name][0])
    script = (
        "import sys, numpy, onnxruntime\n"
        "from pqv_onnx.runtime.encoded import register_extensions\n"
        "options = onnxruntime.SessionOptions()\n"
        "register_extensions(options)\n"
        "session = onnxruntime.InferenceSession(sys.argv[1], options)\n"
        "print('ready', flush=True)\n"
        "session.run(None, {'file': numpy.fromfile(sys.argv[2], numpy.uint8)})\n"
    )
    command = [sys.executable, "-c", script, model, tmp_path / "file"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            process.wait(2 if hangs else None)
        except subprocess.TimeoutExpired:
            assert hangs
        else:
            assert not hangs and process.returncode != 0
            assert b"Traceback" not in process.communicate()[1]
        finally:
            process.kill()


def test_eval_gives_it_files(
    model: Path, of_images: Path, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    for index in range(5):
        folder = tmp_path / "validation" / str(index)
        folder.mkdir(parents=True)
        noise(size=(20 + index, 30)).save(folder / "x.png")
    subjects = [onnx_subject(path, True) for path in (tiny_onnx["w4a4"], of_images, model)]
    found = evaluate_split(subjects, Split("", str(tmp_path), "validation"))
    assert found[0].images == 5 and len({each.top1 for each in found}) == 1
    (folder / "y.png").write_bytes(b"no image")
    with pytest.raises(PqvError, match=r"y\.png: the input is not a whole JPEG or PNG image"):
        evaluate_split(subjects[-1:], Split("", str(tmp_path), "validation"))


def test_run_and_bench(model: Path, tmp_path: Path) -> None:
    noise().save(tmp_path / "x.jpg")
    for given in ([tmp_path / "x.jpg"], ["--random", "0"]):
        assert "%" in CliRunner().invoke(app, ["run", *map(str, [model, *given])]).output
    assert len(TimedSession(model).time(1)) == 1
    with pytest.raises(PqvError, match="one file at a time, not a batch of 2"):
        TimedSession(model, batch=2)


def test_who_does_not_take_it(model: Path, integer: IntegerModel) -> None:
    from pqv_onnx.workflow.options import Options

    with pytest.raises(PqvError, match="no bundle has; export it with --input image"):
        check_model(model, "pqv")
    with pytest.raises(PqvError, match=r"pqv export --checkpoint .* --input encoded"):
        Options(input="encoded")


def test_without_the_extensions(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)
    with pytest.raises(PqvError, match="pip install onnxruntime-extensions"):
        pqv_onnx.InferenceSession(model)
