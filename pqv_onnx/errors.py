"""The one exception that users are meant to read."""


class PqvError(Exception):
    """Bad input: a file, flag, tensor, model or checkpoint. Its text is one clear sentence."""
