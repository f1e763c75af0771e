"""What to install where a package is missing, by the names of the packages themselves.

So it is true of a checkout, of a wheel and of an index alike.
"""

from __future__ import annotations

import re
from importlib import metadata

_OF_TRAIN = re.compile(r"""([\w.-]+)([^;]*?)\s*;\s*extra == ["']train["']""")


def missing_module(module: str, what: str = "this command") -> str:
    """The sentence for a module that is missing; it names all that the extra ``train`` lacks.

    Args:
        module: which.
        what: what needs it.
    """
    name = module.partition(".")[0].replace("_", "-")
    wanted = {package: package + bounds for package, bounds in _training_packages()}
    if name not in wanted:
        return f"{what} needs the Python package {name}, which is not installed"
    lacking = [f"'{text}'" for other, text in wanted.items() if other == name or _lacks(other)]
    return f"{what} needs {name}: pip install {' '.join(lacking)}"


def _training_packages() -> list[tuple[str, str]]:
    try:
        requirements = metadata.requires("pqv_onnx") or []
    except metadata.PackageNotFoundError:  # a source tree that was never installed
        return []
    return [(m[1], m[2]) for text in requirements if (m := _OF_TRAIN.match(text))]


def _lacks(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return True
    return False
