"""Registration by the name of a function, by onnxruntime's C API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from pqv_onnx.runtime.library import get_library_path

# In a process of its own: the library serves one onnxruntime per process. The numbers are the slots
# of custom_ops/ort/c_api_subset.h.
REGISTER = """
import ctypes, sys

onnxruntime, ops, name = sys.argv[1:]
library = ctypes.CDLL(onnxruntime)
if ops:
    ctypes.CDLL(ops, ctypes.RTLD_GLOBAL)
pointer = ctypes.c_void_p
library.OrtGetApiBase.restype = ctypes.POINTER(pointer)
get_api = ctypes.CFUNCTYPE(ctypes.POINTER(pointer), ctypes.c_uint32)(library.OrtGetApiBase()[0])
api = get_api(18)

def slot(index, restype, *types):
    return ctypes.CFUNCTYPE(restype, *types)(api[index])

options = pointer()
assert not slot(10, pointer, pointer)(ctypes.addressof(options))
status = slot(229, pointer, pointer, ctypes.c_char_p)(options, name.encode())
if status:
    sys.exit(slot(2, ctypes.c_char_p, pointer)(status).decode())
"""


def register(ops: str, name: str) -> subprocess.CompletedProcess[str]:
    found = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip(f"onnxruntime {onnxruntime.__version__} for Python has no libonnxruntime.so")
    command = [sys.executable, "-c", REGISTER, str(found[0]), ops, name]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_onnxruntime_finds_the_function_in_the_process() -> None:
    done = register(get_library_path(), "RegisterPqvCustomOps")
    assert done.returncode == 0, done.stderr


def test_not_before_the_library_is_loaded() -> None:
    done = register("", "RegisterPqvCustomOps")
    assert done.returncode == 1
    assert "RegisterPqvCustomOps" in done.stderr
