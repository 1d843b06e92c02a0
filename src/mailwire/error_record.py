"""Errors as records: what an error says, as values that JSON has, to be kept or sent elsewhere, and the error again.

An error that was pickled must be read by none who does not trust where it was kept: to unpickle is to run what stands
there. What is read from JSON makes an error of this library's tree, or is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import errors
from .errors import MailwireError
from .message import RetrievedMessage
from .pop3 import Response
from .sasl import OAuthFailure
from .smtp import Delivery, Receipt, Reply

__all__ = ["error_from_dict", "error_to_dict"]


def error_to_dict(error: MailwireError) -> dict[str, Any]:
    """Return `error` as values that JSON has: its class as `kind`, its `text`, its notes, and what else it carries.

    Not among that are its `__cause__`, and its `report`: that holds the error in turn, and `RetrievalReport.to_dict`
    writes both. Raises TypeError for attributes that are not the library's own.
    """
    left_out = ("report", "__notes__")
    return {
        "kind": type(error).__name__,
        "text": str(error),
        "notes": list(getattr(error, "__notes__", ())),
        "attributes": {name: _written(value) for name, value in vars(error).items() if name not in left_out},
    }


def error_from_dict(data: Mapping[str, Any]) -> MailwireError:
    """Return the error that `error_to_dict` was called on. Raises KeyError, TypeError, ValueError or AttributeError for
    what it did not return."""
    if data["kind"] not in errors.__all__:
        raise ValueError(f"expected the name of an error of mailwire, got {data['kind']!r}")
    kind: type[MailwireError] = getattr(errors, data["kind"])
    # As a copy is made of one: what it was called with besides its text, is among its attributes.
    error = kind.__new__(kind)
    error.args = (str(data["text"]),)
    error.__dict__.update({name: _read(value) for name, value in data["attributes"].items()})
    for note in data["notes"]:
        error.add_note(str(note))
    return error


# What JSON has no values for, is an object of one member, whose name says what it is. JSON's own objects would be no
# attribute of an error otherwise.


def _written(value: object) -> Any:
    match value:
        case None | str() | int():
            return value
        case list() | tuple():
            return list(map(_written, value))
        case dict():
            return {"items": [[_written(key), _written(item)] for key, item in value.items()]}
        case Delivery():
            return {"delivery": value.value}
        case Receipt():
            return {"receipt": value.to_dict()}
        case Reply():
            return {"reply": value.to_dict()}
        case Response():
            return {"response": value.to_dict()}
        case OAuthFailure():
            return {"oauth": asdict(value)}
        case RetrievedMessage(number, uid, raw):
            return {"message": {"number": number, "uid": uid, "raw": raw.decode("latin-1")}}
    raise TypeError(f"expected what an error of mailwire carries, got {type(value).__name__}")


def _read(value: Any) -> Any:
    match value:
        case None | str() | int():
            return value
        case list():
            return tuple(map(_read, value))
        case {"items": list(items)}:
            return {_read(key): _read(item) for key, item in items}
        case {"delivery": word}:
            return Delivery(word)
        case {"receipt": receipt}:
            return Receipt.from_dict(receipt)
        case {"reply": reply}:
            return Reply.from_dict(reply)
        case {"response": response}:
            return Response.from_dict(response)
        case {"oauth": failure}:
            return OAuthFailure(**failure)
        case {"message": {"number": number, "uid": uid, "raw": raw}}:
            return RetrievedMessage(number, uid, raw.encode("latin-1"))
    raise ValueError(f"expected what an error of mailwire carries, got {str(value)[:100]!r}")
