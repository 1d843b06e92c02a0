"""Shortcut: a mail that goes as most do, said and heard past the machine. Its message is at hand, nothing more is
wished for it, the server pipelines, and every reply is as is to be expected.

1. It begins on a connection that is at rest, or behind a mail of which only the verdict is to come, and leaves the
   connection at rest: of a mail that the server has taken, the machine has nothing to know.
2. What has left and what has come is kept as octets. Each flight is held against one pattern, and that is all.
3. Where anything else comes, or nothing more will, the machine is told of it (`as_parcel`): it says and hears the same
   once more, of which nothing leaves. Then it stands where it would have stood, and the mail is a Parcel on its way.
4. Meanwhile the connection is lent: it is not at rest, and nobody asks it for anything else.
"""

import re
from collections.abc import Mapping
from typing import Final

from .._wire.dots import TERMINATOR, MailText, dot_stuffed
from .._wire.trace import Direction, Elided, Several, Spoken, Traceable
from .commands import BdatLast, Command, EndOfData
from .connection import Connection
from .delivery import ACCEPTED
from .group import Replies
from .group_kind import CHUNK, DONE_ALONE, expected
from .opening import Opening, Wording
from .outcome import receipt_of_taken
from .parcel import Parcel
from .paths import Mailbox
from .receipt import Receipt

__all__ = ["END_COST", "Shortcut", "shortcut"]

_NOTHING: Final = b""

_to_write: Final = Receipt.to_write

END_COST: Final = 1024
"""What the end of a message takes of the window's octets is less, if that is as short as plain mails are; the digits by
which MAIL says its size included."""


def shortcut(
    connection: Connection,
    opening: Opening,
    sender: Mailbox | None,
    recipients: tuple[Mailbox, ...],
    message: MailText,
    is_behind: bool,  # these by their place: names in a call take time
    begins_anew: bool,
) -> "Shortcut | None":
    """Let a mail from `sender` to `recipients` begin, as `opening` says, with the `message`, which is whole lines of
    text, 64 KiB of it at most. Return it; None if it cannot go so, and then nothing has changed.

    is_behind: the caller knows that the verdict on another mail is to come, and nothing else; and that the end of that
        takes no more than END_COST.
    begins_anew: RSET goes before MAIL.
    """
    if not (is_behind or connection.is_free):
        return None
    wording, window = opening.wording_for(sender, recipients, begins_anew), connection.window
    if wording.command_count >= window.commands or wording.size + END_COST > window.octets:
        return None  # there is no room, or perhaps none for the end of a message as well
    octets = len(message)
    text = wording.text(octets)
    if opening.is_eager:
        taken = Shortcut(connection, opening, wording, message, expected(CHUNK, wording.command_count + 1))
        taken.octets, taken.is_ended = octets, True
        taken.beginning = [b"%bBDAT %d LAST\r\n%b" % (text, octets, message)]
        connection.trace("C", _Lines(text))
        connection.trace("C", _Chunk(octets))
    else:
        pattern = wording.pattern_in_row if is_behind else wording.pattern
        taken = Shortcut(connection, opening, wording, message, pattern)
        taken.beginning = [text]
        connection.trace("C", _Lines(text))
    connection.lent_to = taken
    return taken


class Shortcut:
    """A mail on its way; have one by `shortcut`, and write its `beginning`, or by `end_with` of the one before.

    Hand what comes to `hear`, and write what its `write` returns where it `wants_message`; until it `is_taken`.
    """

    __slots__ = (
        "_parcel",
        "_pattern",
        "beginning",
        "connection",
        "heard",
        "is_ended",
        "is_taken",
        "message",
        "octets",
        "opening",
        "verdict",
        "wants_message",
        "wording",
    )

    beginning: list[bytes]
    """What leaves at once, of one by `shortcut`. It counts as sent, as what `write` returns does."""

    def __init__(
        self,
        connection: Connection,
        opening: Opening,
        wording: Wording,
        message: MailText,
        pattern: re.Pattern[bytes],
    ) -> None:
        self.connection: Connection = connection
        self.opening: Opening = opening
        self.wording: Wording = wording
        """How it begins."""
        self.message: MailText = message
        self.octets: int = 0
        """How many octets were written of the message, dots that were stuffed included."""
        self.wants_message: bool = False
        """Whether the message is to be written now."""
        self.is_ended: bool = False
        """Whether the message is written."""
        self.is_taken: bool = False
        """Whether the server has taken the mail, for all of its recipients."""
        self.heard: bytes = _NOTHING
        """What was said to its envelope..."""
        self.verdict: bytes = _NOTHING
        """...and to its message."""
        self._parcel: Parcel | None = None
        self._pattern = pattern  # of what is to be answered next

    def write(self) -> list[bytes]:
        """End the message; return what leaves for it."""
        first, second, octets = self._wire()
        leaving = [first + second]
        self.connection.trace("C", _Ended(octets) if self.opening.chunking is False else _Chunk(octets))
        self.octets, self._pattern, self.is_ended, self.wants_message = octets, DONE_ALONE, True, False
        return leaving

    def end_with(self, message: MailText) -> "tuple[bytes, Shortcut]":
        """End its own message, as `write` does, and let another mail begin behind, for the same people, with that
        `message`. Return what leaves for both, and the other one.

        The caller knows that it began behind another itself, which has been taken.
        """
        first, second, octets = self._wire()
        wording, connection = self.wording, self.connection
        text = wording.text(len(message))
        another = Shortcut(connection, self.opening, wording, message, wording.pattern_in_row)
        leaving = b"".join((first, second, text))
        connection.trace("C", _InRow((self.opening.chunking is False, octets, text)))
        self.octets, self._pattern, self.is_ended, self.wants_message = octets, DONE_ALONE, True, False
        connection.lent_to = another
        return leaving, another

    def _wire(self) -> tuple[bytes, bytes, int]:
        # What leaves for the message, in two blocks, and how many octets of that are its own.
        message = self.message
        if self.opening.chunking is False:
            message_data = dot_stuffed(message)
            return message_data, TERMINATOR, len(message_data)
        octets = len(message)
        return b"BDAT %d LAST\r\n" % octets, message, octets

    def hear(self, data: bytes) -> bool:
        """Take `data` that the server has sent, if they are all that is to be answered now, as it is to be expected;
        return whether they are."""
        if self._pattern.fullmatch(data) is None:
            return False
        connection = self.connection
        connection.trace("S", Replies(data))
        if self.is_ended:
            self.verdict, self.is_taken = data, True
            connection.lent_to = None
        else:
            self.heard, self.wants_message = data, True
        return True

    def hear_with(self, behind: "Shortcut", data: bytes) -> bool:
        """Do what `hear` does for this one, which is ended, and the one that has begun `behind` it, or for this one
        alone, if that is all that has come."""
        # What `parted` and `follow` of the one behind do, in one.
        found = behind._pattern.fullmatch(data)
        if found is None:
            if DONE_ALONE.fullmatch(data) is None:
                return False
            verdict, answers = data, _NOTHING
        else:
            verdict, answers = found.groups()
        self.connection.trace("S", Replies(data))
        self.verdict = verdict
        self.is_taken = True
        if answers:
            behind.heard, behind.wants_message = answers, True
        else:
            behind._pattern = behind.wording.pattern
        return True

    def parted(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return what of `data` is the verdict on the mail that it began behind, and what is answered to it, nothing if
        that is to come; None if they are not what is to be expected."""
        found = self._pattern.fullmatch(data)
        if found is None:
            return (data, _NOTHING) if DONE_ALONE.fullmatch(data) is not None else None
        return found[1], found[2]

    def follow(self, answers: bytes) -> None:
        """Take the `answers`, as `parted` has found them: nothing is to be answered before it any more."""
        if answers:
            self.connection.trace("S", Replies(answers))
            self.heard, self.wants_message = answers, True
        else:
            self._pattern = self.wording.pattern

    def as_parcel(self) -> Parcel:
        """Tell the connection of it; return the parcel that it is, each time the same. Where one is `behind` another,
        that one is told of first. What goes wrong here, leaves the connection as it was."""
        if self._parcel is not None:
            return self._parcel
        connection = self.connection
        put_back = connection.undoing()
        trace, has_news = connection.trace, connection.has_news
        connection.trace, connection.has_news = _forget, False  # it was recorded as it was said
        try:
            parcel = self._told()
        except BaseException:
            put_back()
            raise
        finally:
            connection.trace, connection.has_news = trace, has_news
        self._parcel = parcel
        if connection.lent_to is self:
            connection.lent_to = None
        return parcel

    def _told(self) -> Parcel:
        connection = self.connection
        wording = self.wording
        what = self.opening, wording.sender, wording.recipients, self.message
        parcel = Parcel(connection, *what, False, wording.begins_anew)
        connection.data_to_send()
        for answer in (self.heard, self.verdict):
            if answer and not parcel.hear(answer):
                raise AssertionError("what was to be expected once, is so again")
            if self.is_ended and parcel.wants_message:
                parcel.write()
                connection.data_to_send()
        return parcel

    @property
    def awaited(self) -> Command[object]:
        """The command that is to be answered next."""
        opening, wording = self.opening, self.wording
        if self.is_ended and not opening.is_eager:
            return BdatLast(self.octets) if opening.chunking else EndOfData()
        announced = len(self.message) if opening.is_sized else None
        return opening.beginning(wording.sender, announced, begins_anew=wording.begins_anew)[0]

    def receipt(self, timings: Mapping[str, float]) -> Receipt:
        """Return the receipt of a mail that `is_taken`. `timings`: as `Transaction.receipt` takes them."""
        wording = self.wording
        return _to_write(
            ACCEPTED,
            receipt_of_taken,
            wording.sender,
            wording.recipients,
            self.heard + self.verdict,
            wording.begins_anew,
            self.octets,
            self.opening.extensions,
            timings,
        )


class _Lines(bytes, Several):
    # Commands, as they left.

    __slots__ = ()

    def parts(self) -> list[Traceable]:
        return [Spoken(line.decode("ascii")) for line in self.splitlines()]


class _Ended(int, Several):
    # Of so many octets a message that went behind DATA, and the end of it.

    __slots__ = ()

    def parts(self) -> list[Traceable]:
        return [Elided(self), EndOfData()]


class _Chunk(int, Several):
    # A message of so many octets, in one chunk.

    __slots__ = ()

    def parts(self) -> list[Traceable]:
        return [BdatLast(self), Elided(self)]


class _InRow(tuple[bool, int, bytes], Several):
    # The end of one mail, which is that of text or a chunk, of so many octets; and the commands of the next.

    __slots__ = ()

    def parts(self) -> list[Traceable]:
        is_text, octets, text = self
        end = _Ended(octets) if is_text else _Chunk(octets)
        return [*end.parts(), *_Lines(text).parts()]


def _forget(_direction: Direction, _what: Traceable) -> None:
    pass
