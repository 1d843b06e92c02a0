"""Fuzzes one of the targets with atheris, which is to be installed: `python -m tests.fuzzing reply -runs=10000000`.

All behind the target's name is for libFuzzer. What it finds to be interesting it keeps in the directory that is named
there, if one is; it begins with the corpus of the target.
"""

import importlib
import sys

from tests.fuzzing.corpus import CORPUS, TARGETS


def main() -> None:
    """Run."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"expected one of {', '.join(TARGETS)}, got {name!r}")
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["mailwire"]):
        run = importlib.import_module(f"tests.fuzzing.{name}").run
    atheris.Setup([sys.argv[0], "-max_len=512", *sys.argv[2:], str(CORPUS / name)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
