"""Verdict: what is weak about a server, judged by what was seen of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from .inspection import Inspection

__all__ = ["Judgement", "judge"]

# Mechanisms that give the password, or the token, to the server.
_EXPOSING: Final = frozenset({"PLAIN", "LOGIN", "USER", "XOAUTH2", "OAUTHBEARER"})
# Mechanisms that nobody should offer any more (RFC 6331, RFC 4757).
_BROKEN: Final = frozenset({"CRAM-MD5", "DIGEST-MD5", "NTLM"})

# Whoever renews a certificate by hand wants to know by then.
_SOON: Final = 21  # days


@dataclass(frozen=True, slots=True)
class Judgement:
    """One thing about a server: "weak" is against its users, "note" is good to know, "good" is as it should be."""

    kind: Literal["weak", "note", "good"]
    text: str


def judge(seen: Inspection, now: datetime) -> Iterator[Judgement]:
    """Yield what there is to be said of a server."""
    yield from _judge_tls(seen, now)
    yield from _judge_login(seen)
    yield from _judge_pop3(seen) if seen.protocol == "pop3" else _judge_smtp(seen)


def _judge_tls(seen: Inspection, now: datetime) -> Iterator[Judgement]:
    if seen.is_local:
        yield Judgement("good", "a Unix socket: what is said does not leave the machine")
    elif seen.tls is None:
        yield Judgement("weak", "everybody on the way can read and change what is said: there is no TLS")
    if seen.tls is None:
        return
    if seen.tls.version == "TLSv1.3":
        yield Judgement("good", "TLS 1.3")
    else:
        yield Judgement("note", f"{seen.tls.version}: TLS 1.3 is the current version")
    if not seen.tls.is_verified:
        yield Judgement("weak", "the certificate was not checked: it may be anybody's")
    days = seen.days_left(now)
    if days is not None:
        if days < _SOON:
            yield Judgement("weak", f"the certificate is valid for {days} more days only")
        else:
            yield Judgement("good", f"the certificate is valid for {days} more days")
    if not seen.is_implicit:
        yield Judgement("note", "TLS begins behind a command: from the first byte (RFC 8314) there is less to attack")


def _judge_login(seen: Inspection) -> Iterator[Judgement]:
    mechanisms = frozenset(seen.mechanisms(seen.offer))
    clear = seen.clear_offer
    if clear is not None and seen.tls is not None:
        exposed = sorted(_EXPOSING & frozenset(seen.mechanisms(clear)))
        if exposed:
            yield Judgement("weak", f"it takes passwords before TLS: {', '.join(exposed)} offered in the clear")
    if broken := sorted(_BROKEN & mechanisms):
        yield Judgement("weak", f"{', '.join(broken)} should not be offered any more")
    if any(name.startswith("SCRAM-") for name in mechanisms):
        yield Judgement("good", "SCRAM: the server need not see the password")
        if seen.tls is not None and not any(name.endswith("-PLUS") for name in mechanisms):
            yield Judgement("note", "SCRAM is not bound to the TLS session (-PLUS)")
    elif mechanisms:
        yield Judgement("note", "every login gives the server the password or token: there is no SCRAM")


def _judge_smtp(seen: Inspection) -> Iterator[Judgement]:
    offer = seen.offer
    if not seen.announcements:
        command = "LHLO" if seen.protocol == "lmtp" else "EHLO"
        yield Judgement("note", f"it knows no {command}: no extensions, and ASCII alone")
        return
    for keyword, loss in (
        ("PIPELINING", "every command waits for the answer to the one before"),
        ("8BITMIME", "mail beyond ASCII must be encoded, which makes it larger"),
        ("SMTPUTF8", "no addresses beyond ASCII"),
        ("SIZE", "whether a mail is too large shows after it was sent"),
    ):
        if not offer.has(keyword):
            yield Judgement("note", f"no {keyword}: {loss}")


def _judge_pop3(seen: Inspection) -> Iterator[Judgement]:
    offer = seen.offer
    if not seen.announcements:
        yield Judgement("note", "it knows no CAPA: what it can do must be tried")
        return
    missing = [keyword for keyword in ("UIDL", "PIPELINING") if not offer.has(keyword)]
    if missing and seen.mechanism is None:  # some announce it behind the login alone (RFC 2449 5)
        yield Judgement("note", f"not announced before the login: {', '.join(missing)}; a look with credentials tells")
    else:
        if "UIDL" in missing:
            yield Judgement("weak", "no UIDL: mail cannot be left on the server without coming again")
        if "PIPELINING" in missing:
            yield Judgement("note", "no PIPELINING: every message waits for the one before")
    expire, delay = offer.words("EXPIRE"), offer.words("LOGIN-DELAY")
    if expire and expire[0] == "0":
        yield Judgement("weak", "EXPIRE 0: what is retrieved may be gone at once")
    elif expire and expire[0].upper() != "NEVER":
        yield Judgement("note", f"EXPIRE {expire[0]}: mail is deleted after so many days, wanted or not")
    if delay:
        yield Judgement("note", f"LOGIN-DELAY {delay[0]}: logins must be so many seconds apart")
