"""Exported models that take an image of any size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import pqv_onnx
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.export import IR_VERSION
from pqv_onnx.graph.image import TakeImage, check_takes_image
from pqv_onnx.graph.load import load_model, metadata
from pqv_onnx.graph.translate import OPSET
from pqv_onnx.integer import IntegerModel
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.verification import verify_model

SIZES = [(480, 640), (375, 500), (301, 300), (5, 3), (1, 1), (500, 240), (75, 100)]
SIDES = st.one_of(st.integers(1, 40), st.integers(1, 600))
IMAGES = st.one_of(
    st.tuples(SIDES, SIDES),
    st.tuples(st.integers(300, 3000), st.integers(1, 20)),  # tall
    st.tuples(st.integers(1, 20), st.integers(300, 3000)),
)

WANTED = ModelInput((0.5,) * 3, (0.5,) * 3, channels=3, height=16, width=16)


def front(wanted: ModelInput) -> pqv_onnx.InferenceSession:
    """The front end of a model, alone."""
    pixels = ir.val("pixels", ir.DataType.UINT8, (1, wanted.channels, wanted.height, wanted.width))
    tape = ir.tape.Tape()
    same = tape.op("Identity", [pixels], output=ir.val("same", ir.DataType.UINT8, pixels.shape))
    graph = ir.Graph([pixels], [same], nodes=tape.nodes, opset_imports={"": OPSET}, name="front")
    model = TakeImage(wanted)(ir.Model(graph, ir_version=IR_VERSION)).model
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return pqv_onnx.InferenceSession(proto.SerializeToString(), use_library=False)


def photo(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Noise, which is harder on rounding than a photo."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def pillow_pixels(wanted: ModelInput, image: np.ndarray) -> np.ndarray:
    """What timm's transform gives before it normalises, uint8 [1, C, H, W]."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.png"
        Image.fromarray(image).save(path)
        return replace(wanted, input="uint8", layout="nchw").load(path)


def check_pixels(wanted: ModelInput, session: pqv_onnx.InferenceSession, image: np.ndarray) -> None:
    (found,) = session.run(None, {"image": image})
    assert found.dtype == np.uint8
    assert np.array_equal(found, pillow_pixels(wanted, image))


@pytest.mark.parametrize("size", [(224, 224), (160, 224), (192, 96)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.9, 0.875])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pixels_are_pillows(
    interpolation: str, crop_mode: str, crop_pct: float, size: tuple[int, int]
) -> None:
    height, width = size
    made = {"crop_pct": crop_pct, "crop_mode": crop_mode, "interpolation": interpolation}
    wanted = replace(WANTED, height=height, width=width, **made)
    session = front(wanted)
    for source in (*SIZES, size, (height + 1, width), (2 * height, 2 * width)):
        check_pixels(wanted, session, photo(source))


@given(
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    crop_mode=st.sampled_from(["center", "squash"]),
    crop_pct=st.floats(0.5, 1),
    box=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    images=st.lists(IMAGES, min_size=1, max_size=5),
    is_sharp=st.booleans(),
)
@settings(deadline=None, derandomize=True)
def test_pixels_of_images_of_any_size(
    interpolation: str,
    crop_mode: str,
    crop_pct: float,
    box: tuple[int, int],
    images: list[tuple[int, int]],
    is_sharp: bool,
) -> None:
    made: dict[str, Any] = {"crop_mode": crop_mode, "interpolation": interpolation}
    wanted = replace(WANTED, height=box[0], width=box[1], crop_pct=crop_pct, **made)
    session = front(wanted)
    for size in images:
        image = photo(size)
        check_pixels(wanted, session, image // 128 * 255 if is_sharp else image)


def test_grey_images() -> None:
    session = front(replace(WANTED, channels=1, mean=(0.5,), std=(0.5,)))
    grey = photo((40, 30))[..., :1]
    (found,) = session.run(None, {"image": grey})
    (colour,) = front(WANTED).run(None, {"image": grey.repeat(3, 2)})
    assert np.array_equal(found.repeat(3, 1), colour)


def test_the_rest_has_the_bits_of_the_file_of_pixels(
    integer: IntegerModel, of_images: Path, tmp_path: Path
) -> None:
    export_onnx(integer, tmp_path / "pixels.onnx", input="uint8", layout="nchw")
    image = photo((40, 30))
    (pixels,) = front(integer.config.input).run(None, {"image": image})
    for use_library in (True, False):
        whole, rest = (
            pqv_onnx.InferenceSession(path, use_library=use_library)
            for path in (of_images, tmp_path / "pixels.onnx")
        )
        (expected,) = rest.run(None, {"pixels": pixels})
        assert np.array_equal(whole.run(None, {"image": image})[0], expected)


def test_an_image_has_no_other_layout(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="layout nchw is one of uint8 pixels, input image has none"):
        pqv_onnx.export(tiny_qat["w4a4"], tmp_path / "m.onnx", input="image", layout="nchw")


def test_what_the_file_says_of_itself(of_images: Path, tiny_checkpoint: dict[str, Path]) -> None:
    model = load_model(of_images)
    wanted = ModelInput.from_metadata(metadata(model))
    assert (wanted.input, wanted.layout) == ("image", "hwc")
    shape = model.graph.input[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["height", "width", 3]
    report = verify_model(of_images, checkpoint=tiny_checkpoint["w4a4"])
    assert report.bit_exact and len(report.comparisons) > 1
    assert min(comparison.compared for comparison in report.comparisons) >= 16
    report = verify_model(of_images, images=photo((9, 11)))
    assert report.bit_exact
    for images, words in ((photo((9, 11))[None], "takes uint8"), (np.zeros((9, 9, 3)), "float64")):
        with pytest.raises(PqvError, match=words):
            verify_model(of_images, images=images)
    with pytest.raises(PqvError, match="one image at a time, not 3"):
        verify_model(of_images, batches=[3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interpolation": "lanczos"}, "interpolation is lanczos, expected bilinear or bicubic"),
        ({"crop_pct": 1.15}, "crop_pct is 1.15, expected 1 or less"),
        ({"channels": 2, "mean": (0, 0), "std": (1, 1)}, "takes 2 channels, expected 1 or 3"),
    ],
)
def test_what_a_graph_cannot_hold(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PqvError, match=words):
        check_takes_image(replace(WANTED, **changes))


def test_run_bench_and_eval(of_images: Path, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    from pqv_onnx.bench.session import TimedSession
    from pqv_onnx.train.data import Split
    from pqv_onnx.train.evaluate import evaluate_split, onnx_subject

    path = of_images
    assert len(TimedSession(path).time(1)) == 1
    with pytest.raises(PqvError, match="one image at a time, not a batch of 2"):
        TimedSession(path, batch=2)
    for index, size in enumerate(SIZES[:4]):
        folder = tmp_path / "data" / "validation" / str(index % 5)
        folder.mkdir(parents=True)
        Image.fromarray(photo(size)).save(folder / "x.png")
    (tmp_path / "data" / "validation" / "4").mkdir()
    Image.fromarray(photo((20, 20))).save(tmp_path / "data" / "validation" / "4" / "x.png")
    subjects = [onnx_subject(p, use_library=True) for p in (tiny_onnx["w4a4"], path)]
    plain, own = evaluate_split(subjects, Split("", str(tmp_path / "data"), "validation"))
    assert json.dumps(plain.top1) == json.dumps(own.top1)
    assert plain.images == own.images == 5
