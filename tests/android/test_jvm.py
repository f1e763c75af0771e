"""The classes for apps in a JVM: onnxruntime's own library, our op library, Android's bitmaps.

One JVM runs all of tests/android/java; a test here is a test there.
"""

from __future__ import annotations

from typing import Any

import pytest

from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.runtime.info import library_info
from pqv_onnx.spec import QuantSpec
from tests.android.jvm import Jvm, cases
from tests.android.samples import write_samples
from tests.trace.models import MODELS, images

CLASSES = ("PreparationTest", "ClassifierTest", "EmbedderTest", "ErrorTest", "ClosingTest")


@pytest.fixture(scope="module")
def jvm(
    tiny_qat: dict[str, Any],
    tiny_onnx: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Jvm:
    folder = tmp_path_factory.mktemp("jvm")
    made = Jvm(folder)  # what is missing is said before the models are made
    (folder / "samples").mkdir()
    small = MODELS["vit"]
    embedder = convert_to_qat(small.make(), QuantSpec.preset("w8a8"), task="unit_embedding")
    calibrate(embedder, images(small.size, 8))
    write_samples(folder / "samples", tiny_qat["w4a4"], tiny_onnx["w4a4"], embedder.eval())
    return made


@pytest.fixture(scope="module")
def results(jvm: Jvm) -> dict[str, str]:
    return jvm.run_tests(*CLASSES)


@pytest.mark.parametrize("case", cases(*CLASSES))
def test_case(case: str, results: dict[str, str]) -> None:
    verdict = results.get(case, f"did not run: {results}")
    assert verdict == "passed"


def test_without_android_and_without_the_ops(jvm: Jvm) -> None:
    """The part of the package that knows no Bitmap; the same bits where no library is."""
    model = jvm.folder / "samples" / "float.onnx"
    kernels, *logits = jvm.run_plain(model, "REQUIRED")
    assert kernels == f"libpqv_ops, {library_info()['selected']}"
    kernels, *others = jvm.run_plain(model, "PREFERRED", library=False)
    assert kernels.startswith("stock onnxruntime: the app has no libpqv_ops.so for this processor")
    assert others == logits and len(logits) == 5
    (error,) = jvm.run_plain(model, "REQUIRED", library=False)
    assert error.startswith("m: the app has no libpqv_ops.so for this processor, ")
