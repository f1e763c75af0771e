"""Exported files in onnxruntime-web: the bits of here, and the page of examples/web."""

from __future__ import annotations

import functools
import http.server
import io
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.load import load_model, metadata
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.runtime.preprocess import ModelInput
from tests.builds import ROOT, need
from tests.conftest import PRECISIONS

SOURCES = ROOT / "examples" / "web"
SITE = ROOT / "build" / "tests" / "web"
RUN = """async ([bytes, batches]) => {
    const { openModel, run } = await import("./classify.mjs");
    const model = await openModel(Uint8Array.from(bytes).buffer);
    const found = [];
    for (const { data, dims } of batches) {
        const input = { type: "float32", data: Float32Array.from(data), dims };
        found.push(Array.from(await run(model, input)));
    }
    return found;
}"""
DROP = """([name, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(bytes)], name));
    const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
    document.getElementById("drop").dispatchEvent(event);
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what fails."""


@pytest.fixture(scope="module")
def site() -> Path:
    """The page beside onnxruntime-web, which is kept between runs."""
    need("npm", "npm")
    SITE.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.iterdir():
        if source.is_file():
            shutil.copy(source, SITE)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=SITE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"npm could not install onnxruntime-web: {done.stderr.strip()[-200:]}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return SITE


@pytest.fixture(scope="module")
def page(site: Path, browser: Any) -> Iterator[Any]:
    """The page, from a server of its own."""
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        page.close()
        server.shutdown()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_definitions_alone_give_the_bits_of_here(
    precision: str, page: Any, tiny_onnx: dict[str, Path]
) -> None:
    path = tiny_onnx[precision]
    session = onnxruntime.InferenceSession(path)
    generator = np.random.default_rng(0)
    batches = [
        (scale * generator.standard_normal((batch, 3, 16, 16))).astype(np.float32)
        for batch, scale in ((1, 1.0), (3, 1.0), (2, 0.0), (2, 100.0))
    ]
    given = [{"data": images.ravel().tolist(), "dims": images.shape} for images in batches]
    found = page.evaluate(RUN, [list(path.read_bytes()), given])
    for images, values in zip(batches, found, strict=True):
        (expected,) = session.run(None, {"images": images})
        logits = np.array(values, np.float32).reshape(expected.shape)
        assert np.array_equal(logits.view(np.uint32), expected.view(np.uint32))


def test_a_dropped_image_is_classified(
    page: Any, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    labels = ["ant", "bee", "cat", "dog", "eel"]
    model = onnx.load(tiny_onnx["w8a8"])
    model.metadata_props.add(key="pqv.labels", value="\n".join(labels))
    onnx.save(model, tmp_path / "m.onnx")
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    images = ModelInput.from_metadata(metadata(load_model(tmp_path / "m.onnx"))).load(
        tmp_path / "noise.png"
    )
    (logits,) = onnxruntime.InferenceSession(tiny_onnx["w8a8"]).run(None, {"images": images})
    weights = np.exp(logits[0].astype(np.float64) - logits.max())
    shares = weights / weights.sum()
    order = np.argsort(-shares)
    expected = [f"{labels[i]}\t{100 * shares[i]:.1f}%" for i in order]

    page.set_input_files("#model", tmp_path / "m.onnx")
    page.get_by_text("VisionTransformer is ready").wait_for()
    page.evaluate(DROP, ["noise.png", list((tmp_path / "noise.png").read_bytes())])
    page.get_by_text("noise.png: ").wait_for()
    assert page.locator("#classes").inner_text().splitlines() == expected


def test_an_image_goes_into_the_graph_as_it_is(
    page: Any, tiny_qat: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    export_onnx(convert_to_integer(tiny_qat["w8a8"]), path, input="image", top_k=2)
    pixels = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own_size.png")
    logits = onnxruntime.InferenceSession(path).run(["logits"], {"image": pixels})[0][0]
    page.set_input_files("#model", path)
    page.get_by_text("VisionTransformer is ready").wait_for()
    page.evaluate(DROP, ["own_size.png", list((tmp_path / "own_size.png").read_bytes())])
    page.get_by_text("own_size.png: ").wait_for()
    first = page.locator("#classes tr").first.inner_text()
    assert first.startswith(f"class {logits.argmax()}\t")


def test_photos_are_resized_and_what_is_wrong_is_said(
    page: Any, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    page.set_input_files("#model", tmp_path / "text.onnx")
    page.get_by_text("Error: the file is no .onnx model").wait_for()
    page.evaluate(DROP, ["a.png", [1, 2, 3]])
    page.get_by_text("Error: choose a model first").wait_for()
    page.set_input_files("#model", tiny_onnx["w4a4"])
    page.get_by_text("VisionTransformer is ready").wait_for()
    page.evaluate(DROP, ["a.png", [1, 2, 3]])
    page.get_by_text("Error: a.png is no image that the browser can read").wait_for()
    photo = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(photo, "JPEG")
    page.evaluate(DROP, ["photo.jpg", list(photo.getvalue())])
    page.get_by_text("photo.jpg: ").wait_for()
    assert page.locator("#classes tr").count() == 5
