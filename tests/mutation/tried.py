"""Tried: the code of each module as it was when its mutants were tried last and none lived, by its digest."""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

__all__ = ["is_as_tried", "note"]

_SOURCE: Final = Path(__file__).parents[2] / "src/mailwire"
_DIGESTS: Final = Path(__file__).with_name("tried.json")


def is_as_tried(module: str) -> bool:
    """Whether the code of `module`, "smtp/paths" say, is what was tried."""
    return _read().get(module) == _digest(module)


def note(modules: Iterable[str]) -> None:
    """Write down that the mutants of these were tried, of the code as it is."""
    digests = {**_read(), **{module: _digest(module) for module in modules}}
    _DIGESTS.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", "ascii")


def _read() -> dict[str, str]:
    digests: dict[str, str] = json.loads(_DIGESTS.read_text("ascii"))
    return digests


def _digest(module: str) -> str:
    return sha256((_SOURCE / f"{module}.py").read_bytes()).hexdigest()[:16]
