"""Fuzzes one of the targets with atheris, which is to be installed: `python -m tests.fuzzing reply -runs=10000000`.

All behind the target's name is for libFuzzer. It begins with the corpus of the target. What it finds to be interesting
it keeps in the directory that is named there, if one is.
"""

import gc
import importlib
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from tests.fuzzing.corpus import CORPUS, TARGETS

# Octets. What is longer, leads nowhere that the shorter does not, and takes its time.
LONGEST: Final = {"reply": 192, "smtp_session": 256, "pop3_session": 192, "sasl_challenges": 128, "dot_codec": 96}


def arguments_for(name: str, given: Sequence[str]) -> list[str]:
    """Return what libFuzzer is told: the target, the corpus, and what was `given`.

    It keeps what it finds in the first directory that it is told. The corpus may not become that.
    """
    ordinary = [f"-max_len={LONGEST[name]}", "-reload=0", *given]
    if any(not argument.startswith("-") for argument in given):
        return [*ordinary, str(CORPUS / name)]
    return [*ordinary, f"-seed_inputs={','.join(map(str, sorted((CORPUS / name).iterdir())))}"]


def main() -> None:
    """Run."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"expected one of {', '.join(TARGETS)}, got {name!r}")
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["mailwire"]):
        run = importlib.import_module(f"tests.fuzzing.{name}").run
        anyhow = importlib.import_module("tests.fuzzing.pieces").anyhow
        redaction: Any = importlib.import_module("mailwire.sasl.redaction")
    # The few secrets are the same in each run: how else they may be spelt, is found out once.
    spellings = redaction._spellings
    redaction._spellings = lru_cache(maxsize=256)(lambda secret: tuple(spellings(secret)))
    atheris.Setup([sys.argv[0], *arguments_for(name, sys.argv[2:])], lambda data: run(data, anyhow(data)))
    gc.freeze()
    atheris.Fuzz()


if __name__ == "__main__":
    main()
