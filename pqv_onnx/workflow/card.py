"""The model card: what the folder holds, where it is from, how good it is, how to run it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib

from pqv_onnx.files import write_atomically
from pqv_onnx.text import decimals

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before

PICTURE = "sqnr.png"

_RUN = """## Run it

From Python, with the package `pqv_onnx`:

```python
import pqv_onnx
from pqv_onnx.runtime.labels import best_classes, stated_labels
from pqv_onnx.runtime.preprocess import ModelInput

session = pqv_onnx.InferenceSession("model.onnx")
entries = session.get_modelmeta().custom_metadata_map
image = ModelInput.from_metadata(entries).load("photo.jpg")
outputs = session.run(None, {session.get_inputs()[0].name: image})
{python}
```

or `pqv run model.onnx photo.jpg`. `onnxruntime.InferenceSession("model.onnx")` alone gives the same
bits, slower. C++ (`pqv info` shows where the library is; `pqv_run model.onnx photo.jpg` is a ready
program):

```cpp
Ort::SessionOptions options;
options.RegisterCustomOpsLibrary("./libpqv_ops.so");  // a path
Ort::Session session(environment, "model.onnx", options);
```

Kotlin, with the Android package that `pqv android aar` writes:

```kotlin
{kotlin}
```
"""
_LOGITS = {
    "python": "print(best_classes(outputs[0][0], 5, stated_labels(entries)))",
    "kotlin": """PqvClassifier.fromAsset(context, "model.onnx").use { classifier ->
    classifier.classify(bitmap, 5).forEach { println(it) }
}""",
}
_EMBEDDING = {
    "python": "print(outputs[0].shape)",
    "kotlin": """PqvEmbedder.fromAsset(context, "model.onnx").use { embedder ->
    val vector = embedder.embed(bitmap)
}""",
}
_OTHERS = {
    "python": "print([x.shape for x in outputs])",
    "kotlin": """val options = OrtSession.SessionOptions()
PqvOps.register(options)
val session = environment.createSession(bytes, options)
val output = session.run(inputs)[0].value""",
}
_SNIPPETS = {"logits": _LOGITS, "embedding": _EMBEDDING, "unit_embedding": _EMBEDDING}


def write_card(folder: Path, report: dict[str, Any]) -> list[str]:
    """Write ``README.md`` and its picture.

    Args:
        folder: where they go.
        report: of `quantize`.

    Returns:
        The names of the files.
    """
    names = ["README.md"]
    noise = {name: value for name, value in report.get("sqnr", {}).items() if value is not None}
    if noise:
        write_atomically(folder / PICTURE, _draw(noise))
        names.append(PICTURE)
    write_atomically(folder / names[0], make_card(report, bool(noise)).encode())
    return names


def make_card(report: dict[str, Any], picture: bool) -> str:
    """The text, in Markdown."""
    snippets = _SNIPPETS.get(report["task"], _OTHERS)
    parts = [
        f"# {report['model']}, {report['precision']}",
        f"{report['model']} of timm, quantized to {report['precision']} by pqv_onnx "
        f"{report['machine']['pqv_onnx']}: one integer-only ONNX file, bit-exact in "
        f"{report['verification']['comparisons']} comparisons of the ways to run it. It takes "
        f"{_input(report)} and gives {_output(report)}.",
        _files(report),
        "## How good\n\n" + _accuracy(report),
        "## How fast\n\n" + _speed(report),
    ]
    if picture:
        parts.append(
            "## Noise, part by part\n\nSignal to quantization noise ratio behind each half block, "
            f"on images that it was not calibrated on.\n\n![SQNR in dB]({PICTURE})"
        )
    run = _RUN.replace("{python}", snippets["python"]).replace("{kotlin}", snippets["kotlin"])
    return "\n\n".join([*parts, run + "\n## Where it is from\n\n" + _origin(report)]) + "\n"


def _input(report: dict[str, Any]) -> str:
    if report["input"] == "uint8":
        return "uint8 pixels [batch, height, width, 3]"
    if report["input"] == "image":
        return "an image of any size, uint8 [height, width, 3]"
    return "normalised float images [batch, 3, height, width]"


def _output(report: dict[str, Any]) -> str:
    if report["top_k"] is None:
        return str(report["task"])
    return f"{report['task']}, and probabilities and classes of the {report['top_k']} best"


def _files(report: dict[str, Any]) -> str:
    rows = [f"| `{name}` | {digest} |" for name, digest in report["sha256"].items()]
    return "\n".join(["| file | sha256 |", "|---|---|", *rows])


def _accuracy(report: dict[str, Any]) -> str:
    own, reference, data = report["quantized"], report["float"], report["data"]
    rows = [
        "| | top-1, % | same class as float, % | cosine | SQNR, dB |",
        "|---|---:|---:|---:|---:|",
    ]
    if reference is not None:
        rows.append(f"| float | {decimals(reference['top1'])} | | | |")
    near = own["agreement"] or dict.fromkeys(("same", "cosine", "sqnr"))
    rows.append(
        f"| {report['precision']}, in onnxruntime | {decimals(own['top1'])} | "
        f"{decimals(near['same'])} | {decimals(near['cosine'], 4)} | {decimals(near['sqnr'], 1)} |"
    )
    held = "held out of the data" if data["held_out"] else "of the data's validation split"
    text = f"{own['images']} images {held}, `{data['name']}`; calibrated on "
    text += f"{data['calibration_images']} others."
    if not data["labelled"]:
        text += " The images have no labels."
    if report["weights"]["random"]:
        text += " **The weights are random: the classes mean nothing.**"
    elif report["weights"]["new_head"]:
        text += " **The head is new and random: train it before the classes mean anything.**"
    if len(report["tried"]) > 1 or report["max_drop"] is not None:
        text += "\n\n" + _tried(report)
    return "\n".join(rows) + "\n\n" + text


def _tried(report: dict[str, Any]) -> str:
    rows = [
        f"| {entry['precision']} | {entry['bytes'] / 1e6:.2f} | {decimals(entry['drop'])} |"
        for entry in report["tried"]
    ]
    head = ["| precision | MB | points lost |", "|---|---:|---:|"]
    words = (
        f"The cheapest that loses {report['max_drop']} points at most, chosen on these same images:"
    )
    return "\n".join([words, "", *head, *rows])


def _speed(report: dict[str, Any]) -> str:
    machine = report["machine"]
    rows = ["| | ms per image | memory, MB | file, MB |", "|---|---:|---:|---:|"]
    for name in ("float", "quantized"):
        if name in report["latency_ms"]:
            rows.append(
                f"| {name} | {report['latency_ms'][name]['median']:.2f} | "
                f"{report['memory_bytes'][name] / 1e6:.0f} | {report['bytes'][name] / 1e6:.2f} |"
            )
    where = f"{machine['cpu']}, one thread, onnxruntime {machine['versions']['onnxruntime']}"
    note = f"Medians at batch 1, in turns, on {where}; load of the machine {machine['load']}."
    note += " Memory is what session and inference add to the process."
    if machine["load"] > machine["cores"]:
        note += " **The machine was busy: time it again with `pqv bench model.onnx`.**"
    return "\n".join(rows) + f"\n\n{note}"


def _origin(report: dict[str, Any]) -> str:
    weights = report["weights"]
    unknown = "none, they are random" if weights["random"] else "not known; ask whoever made them"
    licence = weights["licence"] or unknown
    lines = [
        f"- Weights: {weights['source']}"
        + (f" ({weights['origin']})" if weights["origin"] else ""),
        f"- sha256 of the weights: {weights['sha256']}",
        f"- Licence of the weights: {licence}",
        f"- Data: `{report['data']['name']}`",
    ]
    if classes := report["data"]["classes"]:
        shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        lines.append(f"- Classes: {len(classes)} ({shown})")
    return "\n".join(lines)


def _draw(noise: dict[str, float]) -> bytes:
    """A PNG: SQNR in dB by part, in the model's order."""
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.22 * len(noise)), layout="constrained")
    names = list(noise)
    axes.barh(names, [noise[name] for name in names], color="#4c8bb8")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=9)
    axes.set_xlabel("SQNR, dB")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    plt.close(figure)
    return buffer.getvalue()
