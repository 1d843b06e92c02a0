"""Outgoing: a message made ready for one server."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from .._wire.dots import MailText
from ..errors import NotSupported, SourceFailed
from ..smtp.extensions import Extensions
from ..smtp.parameters import Parameters
from .content import Content, Text
from .envelope import Envelope
from .mending import Mending, Permission
from .pieces import BLOCK_SIZE
from .policy import MessagePolicy
from .source import MemorySource, MessageSource

__all__ = ["Outgoing"]

# After so many octets other tasks have their turn, whatever the socket takes at once: some two milliseconds' work.
_TURN: Final = 1024 * 1024


class Outgoing:
    """A message made ready for one server: its octets, and the parameters of MAIL that go with them. Make it with
    `prepare`.

    mail_parameters: BODY, SMTPUTF8 and SIZE, as far as they are needed and offered.
    size: how many octets will leave, without dots that are stuffed, None if that is not known.
    content: the octets, where they are in memory and no more than 256 KiB; else None, and `blocks` has them.
    is_at_hand: whether `blocks` has them without waiting for anybody, for they are in memory.
    is_binary: whether they must leave by BDAT (RFC 3030 3); `smtp.Connection.send_data` would mend them.
    is_repeatable: whether `blocks` can be called more than once.
    """

    def __init__(self, text: Text, parameters: Parameters, limit: int | None) -> None:
        self.mail_parameters: Mapping[str, str | None] = parameters
        self.size: int | None = None if text.survey is None else text.survey.octets
        self.content: bytes | None = text.whole
        self.is_at_hand: bool = isinstance(text.source, MemorySource)
        self.is_binary: bool = text.policy.binary
        self.is_repeatable: bool = text.source.is_repeatable
        self._text = text
        self._limit = limit  # octets that the server takes

    @classmethod
    async def prepare(cls, message: MessageSource | Content, envelope: Envelope, extensions: Extensions) -> "Outgoing":
        """Make `message` ready for a server that announces `extensions`.

        Raises NotSupported where the server cannot take what cannot be changed, InvalidMessage for what no server may
        be given, SourceFailed for what cannot be read. What comes from an iterable or a pipe, is looked at only when it
        goes out.
        """
        content = message if isinstance(message, Content) else Content(message)
        if content.message is not None:
            await content.check()
        utf8 = cls._check_demands(content, envelope, extensions)
        eight_bit = _takes_eight_bit(content.policy, extensions)
        return cls._of(await content.text(eight_bit=eight_bit, utf8=utf8), content.policy, extensions, utf8=utf8)

    @classmethod
    def at_once(cls, content: Content, envelope: Envelope, extensions: Extensions) -> "Outgoing | None":
        """Do what `prepare` does if nothing has to be waited for; None if something has."""
        if content.message is not None:
            return None
        utf8 = cls._check_demands(content, envelope, extensions)
        text = content.text_at_hand()
        return None if text is None else cls._of(text, content.policy, extensions, utf8=utf8)

    @classmethod
    def _check_demands(cls, content: Content, envelope: Envelope, extensions: Extensions) -> bool:
        # What a mail asks of a server, as far as that shows before its octets are looked at. Whether it needs SMTPUTF8.
        policy = content.policy
        utf8 = policy.smtputf8 or not envelope.is_ascii or bool(content.needs_utf8)
        if utf8 and "SMTPUTF8" not in extensions.names:
            raise _missing("SMTPUTF8", "RFC 6531", "an address has characters beyond ASCII")
        for keyword in ("CHUNKING", "BINARYMIME") if policy.binary else ():
            if keyword not in extensions.names:
                raise _missing(keyword, "RFC 3030", "the message is to be sent as it is")
        return utf8

    @classmethod
    def _of(cls, text: Text, policy: MessagePolicy, extensions: Extensions, *, utf8: bool) -> "Outgoing":
        size, survey = extensions.size, text.survey
        if survey is not None:
            eight_bit = not survey.is_ascii
            utf8 = utf8 or (eight_bit and survey.needs_utf8)
            if eight_bit or (size is not None and survey.octets > size):
                may = Permission(_takes_eight_bit(policy, extensions), utf8 and "SMTPUTF8" in extensions.names, size)
                may.check(survey)
        elif not _takes_eight_bit(policy, extensions):
            if policy.eight_bit:
                raise _missing("8BITMIME", "RFC 6152", "the message has octets beyond ASCII")
            eight_bit = False
        else:
            eight_bit = policy.eight_bit is not False
        parameters: dict[str, str | None] = {}
        if policy.binary:
            parameters["BODY"] = "BINARYMIME"
        elif eight_bit:
            parameters["BODY"] = "8BITMIME"
        if utf8:
            parameters["SMTPUTF8"] = None
        if survey is not None and "SIZE" in extensions.names:
            parameters["SIZE"] = str(survey.octets)
        return cls(text, Parameters.vouch(parameters), size)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield what leaves, in blocks of 64 to 256 KiB, or somewhat more where line ends had to be mended.

        Close it (`contextlib.aclosing`) where it is left before its end. Raises InvalidMessage, NotSupported and
        SourceFailed for what was not known beforehand: then the message must not be ended, and the connection must be
        cut, so that the server forgets what it has of it.
        """
        if self.content is not None:
            yield self.content
            return
        left = _TURN
        async with aclosing(self._mended()) as mended:
            async for block in mended:
                yield block
                left -= len(block)
                if left <= 0:
                    left = _TURN
                    await asyncio.sleep(0)

    async def _mended(self) -> AsyncGenerator[bytes, None]:
        source = self._text.source
        octets = source.octets if isinstance(source, MemorySource) else None
        if octets is not None and self._text.is_mended and not self.is_binary:
            for block in MailText.cut(octets, BLOCK_SIZE):
                yield block
            return
        parameters = self.mail_parameters
        mending = Mending(self._text.policy, Permission("BODY" in parameters, "SMTPUTF8" in parameters, self._limit))
        async with aclosing(source.pieces()) as pieces:
            async for piece in pieces:
                if mended := mending.feed(piece):
                    yield mended
        if mended := mending.finish():
            yield mended
        if self._text.raw_octets not in (None, mending.raw_octets):
            raise SourceFailed(
                f"the message had {self._text.raw_octets} octets when it was looked at, and {mending.raw_octets} when "
                "it was sent"
            )


def _takes_eight_bit(policy: MessagePolicy, extensions: Extensions) -> bool:
    # Whether octets beyond ASCII may leave.
    return policy.binary or "8BITMIME" in extensions.names


def _missing(extension: str, standard: str, reason: str) -> NotSupported:
    return NotSupported(f"{reason}, and the server does not offer {extension} ({standard})", extension=extension)
