"""Mending: what the octets of a message pass on their way out, and when they are read ahead."""

from typing import Final, NamedTuple

from .._wire.dots import LineEnds, MailText, mended
from ..errors import InvalidMessage, NotSupported
from .policy import MessagePolicy
from .survey import LINE_LIMIT, Survey, has_long_line

__all__ = ["EVERYTHING", "Mending", "Permission", "empty", "mend", "mend_text"]


class Permission(NamedTuple):
    """What may leave.

    eight_bit: octets beyond ASCII.
    utf8: a header in UTF-8.
    octets: at most so many, None for any number.
    """

    eight_bit: bool
    utf8: bool
    octets: int | None

    def check(self, survey: Survey) -> None:
        """Raise NotSupported for what goes beyond it."""
        if survey.needs_utf8 and not self.utf8:
            raise NotSupported(
                "the message has characters beyond ASCII in its header, and the server does not offer SMTPUTF8 "
                "(RFC 6531), or was not told to expect them",
                extension="SMTPUTF8",
            )
        if not survey.is_ascii and not self.eight_bit:
            raise NotSupported(
                "the message has octets beyond ASCII, and the server does not offer 8BITMIME (RFC 6152), or was not "
                "told to expect them",
                extension="8BITMIME",
            )
        if self.octets is not None and survey.octets > self.octets:
            raise NotSupported(
                f"the message has {survey.octets} octets, and the server takes {self.octets} (RFC 1870)",
                extension="SIZE",
            )


EVERYTHING: Final = Permission(eight_bit=True, utf8=True, octets=None)
"""The Permission that lets any octets leave."""


class Mending:
    """Makes of the pieces of a message what leaves, as the policy says, and stops what may not leave.

    Its methods raise InvalidMessage for what no server may be given, NotSupported for what goes beyond `permission`.
    """

    def __init__(self, policy: MessagePolicy, permission: Permission = EVERYTHING) -> None:
        self.survey: Survey = Survey()
        self.raw_octets: int = 0
        self._policy = policy
        self._permission = permission
        self._line_ends = LineEnds(policy.line_ends)

    def feed(self, piece: bytes) -> bytes:
        """Return what leaves for `piece`."""
        octets = self.look(piece)
        return octets if self._policy.binary else MailText.vouch(octets)

    def look(self, piece: bytes) -> bytes:
        """Do the same for who only wants to know, and sends nothing: what is returned is not vouched for."""
        self.raw_octets += len(piece)
        if self._policy.binary:
            return self._pass(piece)
        try:
            octets = self._line_ends.feed(piece)
        except ValueError as error:
            raise InvalidMessage(str(error)) from error
        return self._pass(octets)

    def finish(self) -> bytes:
        """Return what leaves at the end: the end of a last line that lacks it."""
        rest = b""
        if not self._policy.binary:
            try:
                rest = self._line_ends.finish()
            except ValueError as error:
                raise InvalidMessage(str(error)) from error
            if not rest and not self.survey.ends_line:
                rest = b"\r\n"
        self._pass(rest)
        _check(self.survey, self._policy)
        return MailText.vouch(rest)

    def _pass(self, text: bytes) -> bytes:
        self.survey.feed(text)
        if self.survey.long_line is not None:
            _check(self.survey, self._policy)
        self._permission.check(self.survey)
        return text


def empty() -> InvalidMessage:
    """Return what is raised for a message of no octets, or without any field or body."""
    return InvalidMessage("the message is empty: it has not even a header")


def mend(octets: bytes, policy: MessagePolicy) -> tuple[bytes, Survey]:
    """Return what leaves for a whole message, and what is known of it. Raises InvalidMessage."""
    text = octets if policy.binary else mend_text(octets, policy)
    survey = Survey.whole(text)
    _check(survey, policy)
    return text, survey


def mend_text(octets: bytes, policy: MessagePolicy) -> MailText:
    """Return what leaves for a whole message, under a policy by which it is text. Raises InvalidMessage."""
    try:
        text = mended(octets, policy.line_ends)
    except ValueError as error:
        raise InvalidMessage(str(error)) from error
    if not text.endswith(b"\r\n") and text:
        text = MailText.vouch(text + b"\r\n")
    if not text or has_long_line(text):
        _check(Survey.whole(text), policy)
    return text


def _check(survey: Survey, policy: MessagePolicy) -> None:
    if not survey.octets:
        raise empty()
    if survey.long_line is not None and policy.long_lines == "refuse" and not policy.binary:
        raise InvalidMessage(
            f"the message has a line of more than {LINE_LIMIT - 2} octets, which begins at octet {survey.long_line} "
            "(RFC 5321 4.5.3.1.6)"
        )
