"""Memory that runs out, at one call among many."""

import pkgutil
from typing import Any

import pytest

__all__ = ["fail_once"]


def fail_once(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> list[None]:
    """Let memory run out when what is called `name` is called so many times; return the calls."""
    module, attribute = f"mailwire.{name}".rsplit(".", 1)
    found = pkgutil.resolve_name(module)
    real = getattr(found, attribute)
    calls: list[None] = []

    def called(*given: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            raise MemoryError
        return real(*given, **named)

    monkeypatch.setattr(found, attribute, called)
    return calls
