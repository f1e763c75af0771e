"""Entry point of ``pqv``: whatever goes wrong is one line."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from pqv_onnx.errors import PqvError
from pqv_onnx.missing import missing_module
from pqv_onnx.text import printable

_SHOWN, _LONGEST = 500, 2000
"""Characters of an unexpected error's text, and of any sentence, that are shown."""


def main() -> None:
    """Run the command line.

    Exits 0 on success, 1 on bad input, 2 on wrong usage, 130 on an interrupt. With ``--traceback``
    an unexpected error is raised.
    """
    warnings.showwarning = _print_warning
    try:
        code = _run()
    except PqvError as error:
        code = _fail(str(error))
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if "--traceback" in sys.argv:
            raise
        code = _fail_unexpectedly(error)
    problem = _flush_output()
    if problem is not None and code == 0:
        code = _fail(f"the standard output cannot be written: {problem.strerror}")
    sys.exit(code)


def _run() -> int:
    from pqv_onnx.cli.app import UsageError, app  # takes a second, in which a user may interrupt

    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help
            error.message = printable(error.message)
        error.show()
        return 2
    return code if isinstance(code, int) else 0


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"pqv: warning: {printable(str(message))}", file=sys.stderr)


def _fail(sentence: str) -> int:
    shown = sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}..."
    print(f"pqv: error: {printable(shown)}", file=sys.stderr)
    return 1


def _fail_unexpectedly(error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError):
        name = error.name or ""
        if name and not name.startswith("pqv_onnx"):
            return _fail(missing_module(name))
    if isinstance(error, OSError) and error.filename is not None:
        return _fail(f"{os.fsdecode(error.filename)}: {error.strerror}")
    if _is_interrupt(error):
        return 130
    text = " ".join(str(error).split())[:_SHOWN]
    # torch's are RuntimeErrors: on the CPU one that says who allocates, on a GPU its own kind.
    of_torch = "DefaultCPUAllocator" in text or type(error).__name__ == "OutOfMemoryError"
    if isinstance(error, MemoryError) or of_torch:
        return _fail(f"out of memory: {text}")
    return _fail(f"unexpected {type(error).__name__}: {text} (`pqv --traceback ...` shows where)")


def _flush_output() -> OSError | None:
    """Write what was printed; where that fails, not again when the interpreter ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt is behind an error, as where it struck in the import of a module."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    main()
