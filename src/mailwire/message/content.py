"""Content: the message in a mail (RFC 5321 2.3.1), whatever it was given as, looked at once however often it is sent.

What is small and in memory is mended and surveyed at once. What is large, or a file, is read ahead in a thread, for
what a server must be told before; an iterable or a pipe is looked at as it goes out.
"""

import os
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, replace
from email.message import Message

from .._wire.text import quote
from ..errors import InvalidMessage
from .copies import copied
from .file_source import BinaryFile, FileSource
from .generation import check_header, generate, is_laborious, needs_utf8
from .mending import Mending, mend
from .pieces import BLOCK_SIZE, Buffer, EncodedText
from .policy import DEFAULT_POLICY, MessagePolicy
from .source import IterableSource, MemorySource, MessageSource, Source
from .source_octets import in_thread
from .survey import Survey

__all__ = ["Content", "Text"]


@dataclass(slots=True)
class Text:
    """The octets of a content, and what is known of them.

    policy: how they are mended.
    whole: what leaves for them, where that is in memory and no more than one block.
    survey: what was found in what leaves, None if the source cannot be read ahead.
    given: the octets themselves, or where they are read.
    raw_octets: how many octets a source held then.
    """

    policy: MessagePolicy
    whole: bytes | None
    survey: Survey | None
    given: bytes | Source
    raw_octets: int | None = None

    @property
    def source(self) -> Source:
        """Where the octets are read."""
        return MemorySource(self.given) if isinstance(self.given, bytes) else self.given

    @property
    def is_mended(self) -> bool:
        """Whether what leaves is what the source holds: each end of a line that is mended adds an octet."""
        return self.survey is not None and self.survey.octets == self.raw_octets


class Content:
    """A `message` as it is sent under a `policy`. Made once, it serves for every attempt to send it."""

    def __init__(self, message: MessageSource, policy: MessagePolicy = DEFAULT_POLICY) -> None:
        self.policy = policy
        self._mending_policy = policy
        self.message: Message | None = None
        """The message whose header can make an envelope, as it was when it was given; None where there are octets
        only."""
        self._octets: bytes | None = None  # few, and in one piece; or...
        self._source: Source | None = None  # ...what they are read from
        self._text: Text | None = None
        if type(message) is bytes and len(message) <= BLOCK_SIZE:
            self._octets = message
        elif isinstance(message, Message):
            self.message = copied(message)
            if policy.line_ends != "normalise":  # the line ends of a message that is generated are not the caller's
                self._mending_policy = replace(policy, line_ends="normalise")
        else:
            self._source = _source(message)
            self._octets = _few_in(self._source)

    needs_utf8: bool | None = None
    """Whether the message has an address that only SMTPUTF8 can express; None where that is not known yet."""

    _is_laborious = False
    _generated_for: tuple[bool, bool] | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent more than once."""
        return self._source is None or self._source.is_repeatable

    @property
    def is_used_up(self) -> bool:
        """Whether its octets were asked for, and cannot be had again."""
        return self._source is not None and self._source.is_begun and not self._source.is_repeatable

    async def check(self) -> None:
        """Raise InvalidMessage for what no server may be given and SourceFailed for what cannot be read, as far as that
        shows before a server is asked."""
        if self.message is None:
            await self.text(eight_bit=True, utf8=True)
        elif self.needs_utf8 is None:
            self._is_laborious = is_laborious(self.message)
            if self._is_laborious:
                await in_thread(self._check_header, self.message)
            else:
                self._check_header(self.message)

    def text_at_hand(self) -> Text | None:
        """Return the octets if they are had in no time, for they were given and are few, or were looked at before; None
        where something is to be read or generated. Raises InvalidMessage."""
        if self.message is not None:
            return None
        text = self._text
        if text is None and self._octets is not None:
            whole, survey = mend(self._octets, self._mending_policy)
            text = self._text = Text(self._mending_policy, whole, survey, self._octets)
        return text

    async def text(self, *, eight_bit: bool, utf8: bool) -> Text:
        """Return the octets, for a server that takes 8-bit text, and a header in UTF-8. Raises as `check` does."""
        if self.message is None:
            if (text := self.text_at_hand()) is None:
                text = self._text = await self._look_at(self._source)
            return text
        await self.check()
        if self._text is None or self._generated_for != (eight_bit, utf8):
            if self._is_laborious:
                parts = await in_thread(generate, self.message, self.policy, eight_bit=eight_bit, utf8=utf8)
            else:
                parts = generate(self.message, self.policy, eight_bit=eight_bit, utf8=utf8)
            source = MemorySource(*parts)
            if (few := _few_in(source)) is None:
                self._text = await self._look_at(source)
            else:
                self._text = Text(self._mending_policy, *mend(few, self._mending_policy), few)
            self._generated_for = (eight_bit, utf8)
        return self._text

    def _check_header(self, message: Message) -> None:
        check_header(message)
        self.needs_utf8 = needs_utf8(message, self.policy.encode_domain)

    async def _look_at(self, source: Source | None) -> Text:
        if source is None:
            raise AssertionError("a content is a few octets, or it has a source, or is generated")
        mending = Mending(self._mending_policy)
        if not await source.look_ahead(mending.look):
            return Text(self._mending_policy, None, None, source)
        mending.finish()
        return Text(self._mending_policy, None, mending.survey, source, mending.raw_octets)


def _few_in(source: Source) -> bytes | None:
    # The octets, where they are in one piece, and no more than one block.
    octets = source.octets if isinstance(source, MemorySource) else None
    return octets if octets is not None and len(octets) <= BLOCK_SIZE else None


def _source(message: object) -> Source:
    if isinstance(message, bytes):
        return MemorySource(message)
    if isinstance(message, (bytearray, memoryview)):
        try:
            return MemorySource(Buffer.of(message))
        except ValueError as error:  # of one that was released
            raise InvalidMessage(f"the octets of the message cannot be had: {error}") from error
    if isinstance(message, str):
        if "\n" not in message and "\r" not in message:
            raise InvalidMessage(
                f"a text of one line is no message (a path is given as pathlib.Path): {quote(message)}"
            )
        text = EncodedText(message)
        return MemorySource(text if len(text) > BLOCK_SIZE else b"".join(text))
    if isinstance(message, os.PathLike):
        return FileSource(message)
    if isinstance(message, AsyncIterable):
        return IterableSource(message)
    if isinstance(message, BinaryFile):
        return FileSource(message)
    if isinstance(message, Iterable):
        return IterableSource(message)
    raise InvalidMessage(
        f"expected a message, its octets or text, a path, a file or an iterable of octets, got {type(message).__name__}"
    )
