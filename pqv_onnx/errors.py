"""The one exception that users are meant to read."""

from numbers import Integral


class PqvError(Exception):
    """Bad input: a file, flag, tensor, model or checkpoint. Its text is one clear sentence."""


def check_count(name: str, value: object, least: int) -> None:
    """Raise PqvError if a value is no whole number, or one below ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise PqvError(f"{name} is {value!r}, expected a whole number from {least} on")


def first_line(error: BaseException) -> str:
    """What an exception of others says first, or its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
