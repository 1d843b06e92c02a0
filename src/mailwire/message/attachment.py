"""Attachment: a file that goes with a message."""

import mimetypes
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Final

from .._wire.text import check_kind

__all__ = ["Attachment"]

_CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}\Z")  # RFC 6838 4.2
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # no characters: UTF-8 has none of them
_OPAQUE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message.

    data: its octets; those of a bytearray or memoryview are copied.
    name: what it is called; None for a part without a name.
    content_type: such as "image/png"; by default what the name suggests, or application/octet-stream.

    Raises ValueError for what is of another kind, for a name with control characters or surrogates, and for a content
    type that is none or is no file's: to attach a message as message/rfc822, use EmailMessage.add_attachment.
    """

    data: bytes = field(repr=False)
    name: str | None = None
    content_type: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.data, (bytes, bytearray, memoryview)):  # which is not shown
            raise ValueError(f"expected the data of an attachment to be octets, got {type(self.data).__name__}")
        object.__setattr__(self, "data", bytes(self.data))
        check_kind("the name of an attachment", self.name, (str, NoneType), "text or None")
        if self.name is not None and _CONTROL.search(self.name):
            raise ValueError(f"the name of an attachment must not hold control characters, got {self.name!r}")
        if self.name is not None and _SURROGATE.search(self.name):
            raise ValueError(f"the name of an attachment must not hold surrogates, got {self.name!r}")
        content_type = self.content_type or _guess(self.name)
        check_kind("a content type", content_type, str, "text")
        if not _CONTENT_TYPE.match(content_type):
            raise ValueError(f"expected a content type such as image/png, got {content_type!r}")
        if _is_composite(content_type):
            raise ValueError(f"an attachment of octets cannot be {content_type}: that has parts of its own")
        object.__setattr__(self, "content_type", content_type)

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, name: str | None = None, content_type: str = "") -> "Attachment":
        """Read a file, which is called by the last part of its `path` if nothing else is said: with U+FFFD in place of
        octets that are no text. Raises OSError.

        It is read here and now: in a coroutine, `await asyncio.to_thread(Attachment.read, path)` holds nothing up.
        """
        file = Path(path)
        if name is None:
            # Octets that are no text in the name of a file are kept by Python as surrogates, which no header can have.
            name = file.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return cls(file.read_bytes(), name, content_type)


def _guess(name: str | None) -> str:
    guessed, encoding = mimetypes.guess_type(name or "")
    # What is compressed is not what it is called before that.
    return _OPAQUE if guessed is None or encoding is not None or _is_composite(guessed) else guessed


def _is_composite(content_type: str) -> bool:
    # RFC 2046 5: they must not be encoded in base64.
    return content_type.lower().startswith(("message/", "multipart/"))
