"""Where a secret may show itself, and in which spellings."""

import base64
import pickle
import traceback
from collections.abc import Iterator

__all__ = ["CANARY", "assert_hidden", "spellings"]

# Long enough that what is left of it in base64 between two other texts is still no accident.
CANARY = "canary-7f3a-Correct+Horse"


def spellings(secret: str) -> Iterator[str]:
    """Return the secret raw, in hexadecimal, quoted, and in base64 at every alignment."""
    octets = secret.encode()
    yield secret
    yield repr(secret)[1:-1]
    yield octets.hex()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + octets).decode()
        yield encoded[4:-4]


def assert_hidden(secret: str, *things: object) -> None:
    """Assert that no spelling of `secret` is in the text of `things`, nor in what an error among them carries along:
    its causes, its pickle, and the locals of mailwire's frames in its traceback."""
    for shown in (text for thing in things for text in _texts(thing)):
        for spelling in spellings(secret):
            assert spelling not in shown


def _texts(thing: object) -> Iterator[str]:
    yield str(thing)
    yield repr(thing)
    yield f"{thing}"
    if isinstance(thing, BaseException):
        yield pickle.dumps(thing).decode("latin-1")
        for frame in traceback.TracebackException.from_exception(thing, capture_locals=True).stack:
            if "/mailwire/" in frame.filename:
                yield repr(frame.locals)
        for other in (thing.__cause__, thing.__context__):
            if other is not None:
                yield from _texts(other)
