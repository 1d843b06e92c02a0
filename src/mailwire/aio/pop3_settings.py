"""POP3Settings: how a client deals with its POP3 server, beyond what the endpoint says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Final

from .._wire.text import TRUTH, Kind, check_kind, check_kinds, check_number
from ..pop3 import DEFAULT_LIMITS, PIPELINING_WINDOW, STANDARD, Capabilities, Lang, Limits, Quirks, Window
from .pop3_dialogue import Budget

__all__ = ["POP3Settings"]

# RFC 1939 has them optional. To a server without CAPA there is no other way to find out.
_OPTIONAL: Final = frozenset({"UIDL", "TOP"})

# What these fields are of.
_KINDS: Final[Mapping[str, Kind]] = {
    "drain": (Budget, "a Budget"),
    "window": (Window, "a Window"),
    "limits": (Limits, "Limits"),
    "asks_capabilities": TRUTH,
    "probes": ((Collection, NoneType), "a collection of commands or None"),
    "quirks": (Quirks, "Quirks"),
    "utf8": TRUTH,
    "language": ((str, NoneType), "text or None"),
    "resets_before_quit": TRUTH,
    "initial_response": ((bool, NoneType), "True, False or None"),
}


@dataclass(frozen=True, slots=True)
class POP3Settings:
    """How a client deals with its server.

    keep_alive: seconds in which nothing was said, after which NOOP is; None for never. RFC 1939 3 lets a server hang up
        after 10 minutes, and there are some that do after 60 seconds: half of that leaves time for a NOOP that is late.
        A server that does not pipeline hears none before the message that it is giving was read to its end.
    drain: how much of what a retrieval that was broken off has left is read to keep the connection. By default that is
        all that may be on its way: to connect and log in again takes longer, and some servers want minutes between two
        logins.
    window: how much may be unanswered at a time where the server announces PIPELINING.
    limits: how long an answer may be that is no message; what is longer is LimitExceeded.
    asks_capabilities: False for a server that hangs up on CAPA. It is then taken at RFC 1939's word.
    probes: commands that are said though CAPA does not list them, of "UIDL", "TOP" and "LAST". By default the first two
        are, to a server without CAPA, and none to any other. LAST is what old servers have in place of unique ids to
        tell which messages are new: with it among these, `POP3Client.listing` asks for it where there is no UIDL
        (`Listing.last_accessed`).
    quirks: what the server does against the standard and is forgiven. Such as need it switch pipelining off
        (`Quirks.needs_lockstep`).
    utf8: whether messages should come in UTF-8, headers and all, from a server that announces UTF8 (RFC 6856 2); from
        any other they come as ever. `POP3Client.is_utf8` tells if it has agreed.
    language: the tag of the language that the server's texts should be in, "de" or "pt-BR" say, or "*" for its own;
        asked for where LANG is announced (RFC 6856 3). A server that lacks it goes on in the one it has.
    resets_before_quit: whether RSET is said before QUIT where nothing is marked, to a server that deletes what was
        retrieved unless it is told not to.
    login_pause_limit: how many seconds are waited at most before a login of our own accord to a server that wants a
        pause between two (LOGIN-DELAY, or what it says as it refuses one): behind a batch, behind a commit that is to
        reconnect, and where what a connection was lost with is asked again on another.
    initial_response: whether AUTH has a mechanism's initial response with it, where it fits (RFC 5034 4), or the server
        is to ask for it, as servers from before that standard want it. By default it is with it, except for XOAUTH2 and
        to a server that greets as Exchange does.

    Raises ValueError for what is no setting.
    """

    keep_alive: float | None = 30
    drain: Budget = field(default=Budget(octets=PIPELINING_WINDOW.octets, seconds=5))
    window: Window = PIPELINING_WINDOW
    limits: Limits = DEFAULT_LIMITS
    asks_capabilities: bool = True
    probes: Collection[str] | None = None
    quirks: Quirks = STANDARD
    utf8: bool = False
    language: str | None = None
    resets_before_quit: bool = False
    login_pause_limit: float = 900
    initial_response: bool | None = None

    def __post_init__(self) -> None:
        check_number("keep_alive", self.keep_alive, or_none=True)
        check_kind("login_pause_limit", self.login_pause_limit, (int, float), "a number")
        if not self.login_pause_limit >= 0:
            raise ValueError(f"expected login_pause_limit to be 0 at least, got {self.login_pause_limit}")
        if isinstance(self.probes, str):
            raise ValueError("probes are a collection; one command alone is [command]")
        check_kinds(self, _KINDS)
        for command in self.probes or ():
            check_kind("a command in probes", command, str, "text")
        if self.language is not None:
            Lang(self.language)  # which raises ValueError for what is no tag

    def allows(self, command: str, capabilities: Capabilities, *, knows_capa: bool) -> bool:
        """Whether `command` may be said to a server with these `capabilities`."""
        if command in capabilities:
            return True
        if self.probes is None:
            return not knows_capa and command in _OPTIONAL
        return command in self.probes
