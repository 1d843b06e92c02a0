"""Identities: who we are, where it is not a password that shows it; see `credentials` for the one where it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from .fields import check_texts, text_problem
from .oauth import OAuthFailure

__all__ = ["Anonymous", "External", "OAuthToken", "TokenProvider"]

TokenProvider: TypeAlias = Callable[[OAuthFailure | None], Awaitable[str]]
"""Returns an access token. It is given None, or, when the server has refused the token that it returned before, what
the server said: then a fresh one is due. A ConnectionError, TimeoutError or socket.gaierror of its own becomes a
ConnectionFailed, of the connection that the token was for; what else it raises comes out as it is, and ends a run of
many mails."""


@dataclass(frozen=True, slots=True, weakref_slot=True, init=False)
class OAuthToken:
    """A user name and an OAuth 2.0 access token (RFC 6750), for OAUTHBEARER and XOAUTH2.

    token: the token itself, or an async function that returns one.
    authzid: the identity to act as (RFC 4422 3.4.1), where it is not the user's own. OAUTHBEARER only.

    Raises ValueError for a user or authzid that is no text, and for a token that is neither text nor can be called.
    """

    user: str
    token: str | TokenProvider = field(repr=False, hash=False)  # a provider need not be hashable
    authzid: str = ""

    # The one that a dataclass makes would hold the token where a traceback with locals shows it.
    def __init__(self, user: str, token: str | TokenProvider, authzid: str = "") -> None:
        problem = _problem_with(user, token, authzid)
        if problem is not None:
            del self, user, token, authzid
            raise ValueError(problem)
        object.__setattr__(self, "user", user)
        object.__setattr__(self, "token", token)
        object.__setattr__(self, "authzid", authzid)


def _problem_with(user: object, token: object, authzid: object) -> str | None:
    problem = text_problem(user=user, authzid=authzid)
    if problem is None and not (isinstance(token, str) or callable(token)):
        problem = f"expected the token to be text, or an async function that returns it, got {type(token).__name__}"
    return problem


@dataclass(frozen=True, slots=True)
class External:
    """Whoever the link itself proves us to be, by a client certificate as a rule (RFC 4422 appendix A).

    authzid: the identity to act as, where it is not the one the server reads from the link.

    Raises ValueError for an authzid that is no text.
    """

    authzid: str = ""

    def __post_init__(self) -> None:
        check_texts(self, "authzid")


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular (RFC 4505).

    trace: a mail address, or a word for the server's log that means something to whom it would be shown; may be empty.

    Raises ValueError for a trace that is no text.
    """

    trace: str = ""

    def __post_init__(self) -> None:
        check_texts(self, "trace")
