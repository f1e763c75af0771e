"""``pqv inspect``: what a graph consists of."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.cli.options import (
    JsonOption,
    ModelArgument,
    check_json,
    console,
    megabytes,
    write_json,
)
from pqv_onnx.graph.inspect import inspect_model


def command(
    model: ModelArgument,
    batch: Annotated[int, typer.Option(min=1, help="Batch size to count with.")] = 1,
    json_file: JsonOption = None,
) -> None:
    """Show a model's ops, float nodes between the borders, MACs, weights, metadata.

    Example: `pqv inspect m.onnx`
    """
    check_json(json_file)
    result = inspect_model(model, batch)
    _show(result)
    write_json(json_file, result)


def _show(result: dict[str, Any]) -> None:
    ops = Table("domain", "op", "nodes", "MMACs")
    ops.columns[2].justify = ops.columns[3].justify = "right"
    for domain, counts in result["ops"].items():
        for name, count in counts.items():
            macs = result["macs"].get(name)
            ops.add_row(domain, name, str(count), f"{macs / 1e6:.1f}" if macs else "")
    console.print(ops)
    weights = ", ".join(f"{kind} {megabytes(n)}" for kind, n in result["weight_bytes"].items())
    console.print(f"file                {megabytes(result['file_bytes'])}")
    console.print(f"MACs                {result['macs']['total'] / 1e6:.1f} M")
    console.print(f"constants           {weights}")
    console.print(f"activation peak     {megabytes(result['activation_peak_bytes'])}")
    console.print(f"float nodes inside  {len(result['float_nodes'])}")
    for name in result["float_nodes"]:
        console.print(f"  {name}")
    console.print("metadata")
    for key, value in result["metadata"].items():
        shown = value if len(value) <= 200 else value[:197] + "..."
        console.print(f"  {key}: {shown}", markup=False)
