"""The one exception that users are meant to read."""


class PqvError(Exception):
    """Bad input: a file, flag, tensor, model or checkpoint. Its text is one clear sentence."""


def first_line(error: BaseException) -> str:
    """What an exception of others says first, or its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
