"""Outgoing: a message made ready for one server."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from .._wire.dots import MailText
from ..errors import NotSupported, SourceFailed
from ..smtp.extensions import Extensions
from ..smtp.parameters import Parameters
from .content import Content, Text
from .envelope import Envelope
from .mending import Mending, Permission
from .policy import MessagePolicy
from .source import MemorySource, MessageSource

__all__ = ["Outgoing", "Terms", "demands_utf8"]

# What was mended when it was looked at leaves in larger blocks: each may be a chunk, which the server answers. Two have
# room in a window of the pipeline, so that none waits for the one before.
_CHUNK_SIZE: Final = 384 * 1024
# After so many octets other tasks have their turn, whatever the socket takes at once: some two milliseconds' work.
_TURN: Final = 2 * _CHUNK_SIZE


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a server for mails under one `policy`, whatever their octets, and what it takes. Looked at once,
    it serves for all of them.

    utf8: the mails need SMTPUTF8, for what is known before their octets are.
    extensions: what the server announces.
    takes_eight_bit: octets beyond ASCII may leave.
    limit: the server takes so many octets.
    takes_size: it wants to know how many there are.
    """

    policy: MessagePolicy
    utf8: bool
    extensions: Extensions
    takes_eight_bit: bool
    limit: int | None
    takes_size: bool

    @classmethod
    def of(cls, policy: MessagePolicy, extensions: Extensions, *, utf8: bool) -> "Terms":
        """Return them. Raises NotSupported where the server does not take such mails."""
        if utf8 and "SMTPUTF8" not in extensions.names:
            beyond = "an address or a message id has characters beyond ASCII"
            demand = "the policy demands UTF-8" if policy.smtputf8 else beyond
            raise _missing("SMTPUTF8", "RFC 6531", demand)
        for keyword in ("CHUNKING", "BINARYMIME") if policy.binary else ():
            if keyword not in extensions.names:
                raise _missing(keyword, "RFC 3030", "the message is to be sent as it is")
        takes_eight_bit = policy.binary or "8BITMIME" in extensions.names
        return cls(policy, utf8, extensions, takes_eight_bit, extensions.size, "SIZE" in extensions.names)


def demands_utf8(content: Content, envelope: Envelope) -> bool:
    """Return whether a mail needs SMTPUTF8, as far as is known before its octets are looked at."""
    return content.policy.smtputf8 or not envelope.is_ascii or bool(content.needs_utf8)


class Outgoing:
    """A message made ready for one server: its octets, and the parameters of MAIL that go with them. Make it with
    `prepare`.

    declared: BODY and SMTPUTF8, as parameters of MAIL, as far as they are needed and offered.
    announced: how many octets MAIL says that there are (SIZE); None where that is not known, or not offered.
    content: the octets, where they are in memory and no more than 256 KiB; else None, and `blocks` has them.
    terms: what the server takes.
    """

    def __init__(self, text: Text, terms: Terms) -> None:
        policy, survey = terms.policy, text.survey
        eight_bit, utf8 = False, terms.utf8
        if survey is None:
            eight_bit = _expects_eight_bit(terms)
        elif not survey.is_ascii or (terms.limit is not None and survey.octets > terms.limit):
            eight_bit = not survey.is_ascii
            utf8 = utf8 or (eight_bit and survey.needs_utf8)
            takes_utf8 = utf8 and "SMTPUTF8" in terms.extensions.names
            Permission(terms.takes_eight_bit, takes_utf8, terms.limit).check(survey)
        self.declared: Parameters = _declared(policy.binary, eight_bit, utf8)
        self.announced: int | None = survey.octets if survey is not None and terms.takes_size else None
        self.content: bytes | None = text.whole
        self._text = text
        self.terms: Terms = terms

    @property
    def mail_parameters(self) -> Mapping[str, str | None]:
        """All parameters of MAIL: those that are `declared`, and SIZE."""
        return self.declared if self.announced is None else {**self.declared, "SIZE": str(self.announced)}

    @property
    def size(self) -> int | None:
        """How many octets will leave, without dots that are stuffed, None if that is not known."""
        survey = self._text.survey
        return None if survey is None else survey.octets

    @property
    def is_at_hand(self) -> bool:
        """Whether `blocks` has the octets without waiting for anybody, for they are in memory."""
        return self.content is not None or isinstance(self._text.source, MemorySource)

    @property
    def is_binary(self) -> bool:
        """Whether the octets must leave by BDAT (RFC 3030 3); `smtp.Connection.send_data` would mend them."""
        return self.terms.policy.binary

    @property
    def is_repeatable(self) -> bool:
        """Whether `blocks` can be called more than once."""
        return self._text.source.is_repeatable

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
        terms = Terms.of(content.policy, extensions, utf8=demands_utf8(content, envelope))
        return cls(await content.text(eight_bit=terms.takes_eight_bit, utf8=terms.utf8), terms)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield what leaves, in blocks of 64 to 384 KiB, or somewhat more where line ends had to be mended.

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
            for block in MailText.cut(octets, _CHUNK_SIZE):
                yield block
            return
        parameters, limit = self.declared, self.terms.limit
        mending = Mending(self._text.policy, Permission("BODY" in parameters, "SMTPUTF8" in parameters, limit))
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


@lru_cache
def _declared(binary: bool, eight_bit: bool, utf8: bool) -> Parameters:
    # The same object for most mails.
    parameters: dict[str, str | None] = {}
    if binary:
        parameters["BODY"] = "BINARYMIME"
    elif eight_bit:
        parameters["BODY"] = "8BITMIME"
    if utf8:
        parameters["SMTPUTF8"] = None
    return Parameters.vouch(parameters)


def _expects_eight_bit(terms: Terms) -> bool:
    # Of octets that are looked at as they go out.
    if terms.takes_eight_bit:
        return terms.policy.eight_bit is not False
    if terms.policy.eight_bit:
        raise _missing("8BITMIME", "RFC 6152", "the message has octets beyond ASCII")
    return False


def _missing(extension: str, standard: str, reason: str) -> NotSupported:
    return NotSupported(f"{reason}, and the server does not offer {extension} ({standard})", extension=extension)
