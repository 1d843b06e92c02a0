"""Where a secret may show itself, and in which spellings."""

import base64
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from mailwire.sasl import Mechanism, Password
from mailwire.sasl.cram_md5 import CramMD5
from mailwire.sasl.login import Login
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from mailwire.sasl.plain import Plain
from mailwire.sasl.scram import Scram

__all__ = ["CANARY", "KEEPERS", "Keeper", "assert_hidden", "is_ours_to_answer_for", "said_back", "spellings"]

# Long enough that what is left of it in base64 between two other texts is still no accident.
CANARY = "canary-7f3a-Correct+Horse"


@dataclass(frozen=True)
class Keeper:
    """A mechanism that knows the canary, and the challenges behind which it has told all that it tells.

    sends_initial_response: whether the first thing that it says stands in the command.
    """

    make: Callable[[], Mechanism]
    challenges: tuple[bytes, ...] = ()
    sends_initial_response: bool = True


_NONCE = "fyko+d2lbbFgONRv9qkxdawL"
_SERVER_FIRST = base64.b64encode(f"r={_NONCE}3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096".encode())
_PASSWORD = Password("tim", CANARY)

KEEPERS: Mapping[str, Keeper] = {
    "PLAIN": Keeper(lambda: Plain(_PASSWORD)),
    "PLAIN in two steps": Keeper(lambda: Plain(_PASSWORD), (b"",), sends_initial_response=False),
    "LOGIN": Keeper(lambda: Login(_PASSWORD), (b"", b"")),
    "CRAM-MD5": Keeper(lambda: CramMD5(_PASSWORD), (base64.b64encode(b"<1896.697170952@postoffice>"),)),
    "OAUTHBEARER": Keeper(lambda: OAuthBearer("tim", CANARY, host="mail.example.org", port=465)),
    "XOAUTH2": Keeper(lambda: XOAuth2("tim", CANARY)),
    "XOAUTH2 in two steps": Keeper(lambda: XOAuth2("tim", CANARY), (b"",), sends_initial_response=False),
    "SCRAM-SHA-1": Keeper(lambda: Scram(_PASSWORD, "SHA-1", make_nonce=lambda: _NONCE), (_SERVER_FIRST,)),
}


def said_back(secret: str) -> Iterator[bytes]:
    """Return how a server may say back what it was told."""
    octets = secret.encode()
    yield octets
    yield octets.hex().encode()
    yield octets.hex().upper().encode()
    yield quote(octets).encode()
    for before in (b"", b"x", b"xy", b"\0tim\0", b"user=tim\1auth=Bearer "):
        yield base64.b64encode(before + octets)
        yield base64.b64encode(before + octets + b"\1\1")


def spellings(secret: str) -> Iterator[str]:
    """Return the secret raw, in hexadecimal, quoted in two ways, and in base64 at every alignment."""
    octets = secret.encode()
    yield secret
    yield repr(secret)[1:-1]
    yield octets.hex()
    yield quote(secret)
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + octets).decode()
        yield encoded[4:-4]


def assert_hidden(secret: str, *things: object) -> None:
    """Assert that no spelling of `secret` is in the text of `things`, nor in what an error among them carries along:
    its causes, its pickle, and the locals in its traceback."""
    known = _known(secret)
    for shown in (text for thing in things for text in _texts(thing)):
        for spelling in known:
            assert spelling not in shown


@lru_cache(maxsize=256)
def _known(secret: str) -> tuple[str, ...]:
    return (*spellings(secret),)


def is_ours_to_answer_for(filename: str) -> bool:
    """Whether the locals of a frame in that file must hold no secret: all but a test, what plays the server, and what
    calls a mutant in the place of a function."""
    return not any(part in filename for part in ("/tests/", "/mailwire/testing/", "/mutmut/mutation/"))


def _texts(thing: object) -> Iterator[str]:
    yield str(thing)
    yield repr(thing)
    if not isinstance(thing, str):
        yield f"{thing}"
    if isinstance(thing, BaseException):
        yield pickle.dumps(thing).decode("latin-1")
        for frame, _ in traceback.walk_tb(thing.__traceback__):
            if is_ours_to_answer_for(frame.f_code.co_filename):
                yield from map(_shown, frame.f_locals.values())
        for other in (thing.__cause__, thing.__context__):
            if other is not None:
                yield from _texts(other)


def _shown(value: object) -> str:
    # As a debugger or a traceback shows it: what is not made yet may have no text.
    try:
        return repr(value)
    except Exception:
        return "no text"
