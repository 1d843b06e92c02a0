"""Credentials: who we are, as values that never show their secret."""

from dataclasses import dataclass, field

from .fields import text_problem

__all__ = ["Password"]


@dataclass(frozen=True, slots=True, init=False)
class Password:
    """A user name and a password, both any text; sent as UTF-8.

    authzid: the identity to act as (RFC 4422 3.4.1), where it is not the user's own.

    Raises ValueError for what is no text, such as None or octets, and for text that is none in UTF-8 (lone surrogates).
    """

    user: str
    password: str = field(repr=False)
    authzid: str = ""

    # The one that a dataclass makes would hold the password where a traceback with locals shows it.
    def __init__(self, user: str, password: str, authzid: str = "") -> None:
        problem = _problem_with(user, password, authzid)
        if problem is not None:
            del self, user, password, authzid
            raise ValueError(problem)
        object.__setattr__(self, "user", user)
        object.__setattr__(self, "password", password)
        object.__setattr__(self, "authzid", authzid)


def _problem_with(user: str, password: str, authzid: str) -> str | None:
    problem = text_problem(user=user, password=password, authzid=authzid)
    # Not by trying to encode: the error of that holds the text, password and all.
    if problem is None and any("\ud800" <= character <= "\udfff" for character in f"{user}{password}{authzid}"):
        problem = "user, password and authzid must be text that UTF-8 can express"
    return problem
