"""The choice of a mechanism: the strongest that both sides know, among those the situation allows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from .credentials import Password
from .login import Login
from .mechanism import Mechanism
from .plain import Plain

__all__ = ["MECHANISMS", "choose"]

# For a password, the best first. PLAIN comes before LOGIN: it is a standard, and one round trip shorter.
MECHANISMS: Final[Mapping[str, Callable[[Password], Mechanism]]] = {"PLAIN": Plain, "LOGIN": Login}


def choose(credentials: Password, offered: Iterable[str]) -> Mechanism | None:
    """Return the best mechanism for `credentials` among those `offered` by name; None if there is none."""
    names = {name.upper() for name in offered}
    for name, make in MECHANISMS.items():
        if name in names:
            return make(credentials)
    return None
