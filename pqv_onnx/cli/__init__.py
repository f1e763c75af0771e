"""The command line ``pqv``: one file per command."""
