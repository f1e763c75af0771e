from __future__ import annotations

from pqv_onnx.bench.machine import describe_machine, machine_lines


def test_a_machine_is_named() -> None:
    machine = describe_machine(("numpy", "no-such-package"))
    assert machine["cpu"] and machine["cores"] >= 1
    assert list(machine["versions"]) == ["numpy"]
    text = " ".join(machine_lines(machine))
    assert machine["cpu"] in text and machine["versions"]["numpy"] in text
    assert machine["date"] in text
