"""The command line: `mailwire send`, `mailwire fetch`, `mailwire check` and `mailwire demo`.

Each command is a module with `make_parser`, for its arguments, and `perform`, which returns the exit status. What was
found out goes to standard output, what is said about it (errors, transcripts, progress) to standard error.
"""

from .program import main

__all__ = ["main"]
