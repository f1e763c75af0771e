"""An exported file in Netron: what a reader sees of a node who clicks it.

`PQV_SCREENSHOT=docs/images/netron.png` before the command makes the picture of the documentation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netron
import onnx
import pytest

NODES = {
    "PackedInt4MatMul": "blocks.0.attn.qkv",
    "IntAttention": "blocks.0.attn.attention",
    "IntLayerNorm": "blocks.0.norm2",
}


@pytest.fixture(scope="module")
def page(browser: Any, tiny_onnx: dict[str, Path]) -> Iterator[Any]:
    """The file in Netron, which is alone in the world."""
    address = netron.start(str(tiny_onnx["w4a4"]), address=("127.0.0.1", 0), browse=False)
    url = "http://{}:{}/".format(*address)
    context = browser.new_context(viewport={"width": 1000, "height": 780}, device_scale_factor=2)
    context.add_cookies([{"name": "consent", "value": "1", "url": url}])  # else it asks first
    context.route(lambda requested: not requested.startswith(url), lambda route: route.abort())
    page = context.new_page()
    page.clock.set_fixed_time(0)  # half a year after its release, it only asks for an update
    page.goto(url)
    yield page
    context.close()
    netron.stop(address)


@pytest.mark.parametrize("op", NODES)
def test_a_click_shows_op_scale_and_documentation(
    op: str, page: Any, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx["w4a4"])
    node = next(node for node in model.graph.node if node.name == NODES[op])
    annotations = {note.tensor_name: note for note in model.graph.quantization_annotation}
    entries = annotations[node.output[0]].quant_parameter_tensor_names
    page.reload()  # the main graph: a definition is a graph of its own
    title = page.locator("title", has_text=re.compile(f"^{re.escape(node.name)}$"))
    page.locator("g.node", has=title).locator(".node-item-type").first.click()
    sidebar = page.locator(".sidebar")
    sidebar.get_by_text("Node Properties").wait_for()
    sidebar.locator(".sidebar-item-value-expander").last.click()  # of the output
    sidebar.get_by_text("scale = ").wait_for()
    shown = sidebar.inner_text()
    for wanted in (op, node.name, node.doc_string, *(f"{e.key} = {e.value}" for e in entries)):
        assert wanted in shown
    if op == "PackedInt4MatMul":
        picture = os.environ.get("PQV_SCREENSHOT", tmp_path / "netron.png")
        page.mouse.move(5, 300)  # off the node, which is marked by what is selected
        assert page.screenshot(path=picture)[1:4] == b"PNG"
    sidebar.locator('[title="Show Definition"]').click()
    sidebar.get_by_text("Function Documentation").wait_for()
    function = next(function for function in model.functions if function.name == op)
    read = re.sub(r"[^\w]+", " ", sidebar.inner_text())
    for line in function.doc_string.replace("`", "").splitlines():
        assert re.sub(r"[^\w]+", " ", line).strip() in read
