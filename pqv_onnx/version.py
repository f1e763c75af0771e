"""The version of the package, of the op library and of the distribution, kept here alone."""

__version__ = "0.1.0"
