"""Fields: how a user's text becomes octets of a mechanism's message.

Every mechanism separates its fields by some octet, and text that holds that octet would forge another field. Text is
checked here before it is sent, and no refusal quotes it: a field may be a secret, or a secret in the wrong place.
"""

from typing import Final

__all__ = ["check_texts", "encode_field", "encode_saslname", "gs2_header", "text_problem"]

# C0 and DEL, as in `_wire.text`; as text here, since nothing may be quoted.
_CONTROLS: Final = "".join(map(chr, (*range(0x20), 0x7F)))


def text_problem(**texts: object) -> str | None:
    """Return which of `texts`, by their names, is none, without quoting it; None if all are text.

    Whoever raises an error of that, first lets go of what may be a secret: a traceback may show locals.
    """
    for name, text in texts.items():
        if not isinstance(text, str):
            return f"expected the {name} to be text, got {type(text).__name__}"
    return None


def check_texts(owner: object, *names: str) -> None:
    """Raise ValueError where an attribute of `owner` by one of `names` is no text. It is not quoted."""
    problem = text_problem(**{name: getattr(owner, name) for name in names})
    if problem is not None:
        raise ValueError(problem)


def encode_field(name: str, text: str, *, allows_controls: bool = True) -> bytes:
    """Return `text`, the field called `name` of a message, in UTF-8.

    Raises ValueError, which does not quote the text, for a NUL (RFC 4422 3.4.1 allows none in an identity, RFC 4616 2
    none in any field), for a lone surrogate, which UTF-8 has no form for, and for every other control character unless
    `allows_controls`.
    """
    refused = "\0" if allows_controls else _CONTROLS
    if any(control in text for control in refused):
        problem = f"{name} must not hold a " + ("NUL" if allows_controls else "control character")
    else:
        try:
            return text.encode()
        except UnicodeEncodeError:
            # Not raised further, nor from here: it holds the text.
            problem = f"{name} must not hold a surrogate without its other half"
    del text  # a traceback may show locals
    raise ValueError(problem)


def encode_saslname(name: str, text: str, *, allows_controls: bool = True) -> bytes:
    """Return `text` as a saslname (RFC 5801 4, RFC 5802 7): "," and "=" are written "=2C" and "=3D".

    Raises ValueError as encode_field() does.
    """
    field = encode_field(name, text, allows_controls=allows_controls)
    return field.replace(b"=", b"=3D").replace(b",", b"=2C")


def gs2_header(flag: bytes, authzid: bytes) -> bytes:
    """Return the header of RFC 5801 4, with which the messages of SCRAM and OAUTHBEARER begin.

    flag: what the client says about channel binding, "n", "y" or "p=..." .
    authzid: the identity to act as, a saslname; empty where it is the user's own.
    """
    return flag + b"," + (b"a=" + authzid if authzid else b"") + b","
