"""Opening: how mails begin for which the same is wished, looked at before a command of theirs is queued, and once for
all of them. What is left to be said of each is who it is from and for, and how large it is.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from types import NoneType
from typing import Literal

from .._wire.text import check_choice, check_kind, check_lines, check_whole_number, described
from ..errors import NotSupported
from .commands import Command, Mail, Rcpt, Rset, parameter_words
from .extensions import Extensions
from .group_kind import DATA, DONE_ALONE, ENVELOPE, GroupKind, expected, expected_in_row
from .options import MailOptions, RecipientOptions
from .parameters import NO_PARAMETERS, Parameters, check_offered, mail_extensions
from .paths import NULL_PATH, Mailbox

__all__ = ["Opening", "Wishes", "Wording", "check_mail"]

Wishes = tuple[Parameters, MailOptions | None, Literal["send", "abort"], bool | Literal["eager"], bool]
"""What is wished for a mail, of what a Transaction is told: `parameters`, `options`, `on_refused`, `chunking`, and
whether it has a `size`."""


def check_mail(
    sender: object,
    recipients: object,
    size: object,
    options: object,
    recipient_options: object,
    on_refused: object,
    chunking: object,
    chunk_size: object,
) -> None:
    """Raise ValueError, which says what was expected, unless these are what a `Transaction` may be told.

    What is no Mailbox is never written as one: its text could hold parameters, or be a list of letters.
    """
    check_kind("the sender", sender, (Mailbox, NoneType), "a Mailbox or None")
    _check_each("recipient", recipients, Mailbox, "a Mailbox")
    check_whole_number("size", size, 0, or_none=True)
    check_kind("options", options, (MailOptions, NoneType), "MailOptions or None")
    if recipient_options != ():
        _check_each("recipient's options", recipient_options, (RecipientOptions, NoneType), "RecipientOptions or None")
    check_choice("on_refused", on_refused, "send", "abort")
    if not (isinstance(chunking, bool) or chunking == "eager"):
        raise ValueError(f'expected chunking to be True, False or "eager", got {described(chunking)}')
    check_whole_number("chunk_size", chunk_size)


def _check_each(name: str, values: object, kinds: type | tuple[type, ...], expected: str) -> None:
    if not isinstance(values, Sequence):
        raise ValueError(f"expected a sequence, each {name} in it {expected}, got {described(values)}")
    for value in values:
        if not isinstance(value, kinds):
            raise ValueError(f"expected each {name} to be {expected}, got {described(value)}")


class Wording:
    """What the commands of an `opening` are on the wire, for a mail from `sender` to `recipients`, which begins with
    RSET if it `begins_anew`. Raises ValueError for what no command can hold."""

    __slots__ = (
        "begins_anew",
        "command_count",
        "head",
        "is_sized",
        "lines",
        "pattern",
        "pattern_in_row",
        "recipients",
        "sender",
        "size",
        "tail",
    )

    def __init__(
        self, opening: "Opening", sender: Mailbox | None, recipients: tuple[Mailbox, ...], begins_anew: bool
    ) -> None:
        path = NULL_PATH if sender is None else b"<%b>" % sender.encode()
        before, after = opening.words
        head = b"%bMAIL FROM:%b%b" % (b"RSET\r\n" if begins_anew else b"", path, before)
        tail = b"%b\r\nRCPT TO:<%b>\r\n%b" % (
            after,
            b">\r\nRCPT TO:<".join([recipient.encode() for recipient in recipients]),
            b"DATA\r\n" if opening.has_data else b"",
        )
        count = len(recipients) + 1 + begins_anew + opening.has_data
        check_lines(head + tail, count)
        self.sender: Mailbox | None = sender
        self.recipients: tuple[Mailbox, ...] = recipients
        self.begins_anew: bool = begins_anew
        self.is_sized: bool = opening.is_sized
        """Whether MAIL says how many octets the message has."""
        self.head: bytes = head
        """Up to where the size of the mail stands..."""
        self.tail: bytes = tail
        """...and behind that."""
        self.size: int = len(head) + len(tail)
        """How many octets these are."""
        self.lines: Sequence[bytes] = () if opening.is_pipelining else tail.splitlines(keepends=True)
        """The lines that `tail` is, where no more than one command may be unanswered at a time."""
        self.command_count: int = count
        """How many commands there are..."""
        self.pattern: re.Pattern[bytes] = expected(opening.kind, count)
        """...and what they are answered, if all goes as is to be expected..."""
        self.pattern_in_row: re.Pattern[bytes] = expected_in_row(DONE_ALONE, self.pattern)
        """...and what the end of a message and they are, if they leave behind it."""

    def text(self, octets: int) -> bytes:
        """Return all of it, for a message of so many `octets`."""
        return b"%b%d%b" % (self.head, octets, self.tail) if self.is_sized else self.head + self.tail


class Opening:
    """How those mails begin for which there are these `wishes`, with a server that has `offered` this.

    is_verified: TLS is in force, and the server has proved its name.
    is_pipelining: several commands may be unanswered at a time.
    is_lmtp: it is an LMTP server. There no chunk leaves before somebody is known to be accepted, whatever is wished.
        A last chunk for nobody has no reply by RFC 2033 4.2 and 4.3, and 503 of some servers: behind it, nobody could
        tell which reply is to what.

    Raises ValueError, NotSupported and SecurityError as `Transaction` does.
    """

    __slots__ = (
        "_parameters",
        "_used",
        "_wording",
        "aborts",
        "chunking",
        "extensions",
        "has_data",
        "is_binary",
        "is_eager",
        "is_pipelining",
        "is_sized",
        "is_utf8",
        "kind",
        "wishes",
        "words",
    )

    def __init__(
        self, wishes: Wishes, offered: Extensions, *, is_verified: bool, is_pipelining: bool, is_lmtp: bool
    ) -> None:
        parameters, options, on_refused, chunking, is_sized = wishes
        self.aborts: bool = on_refused == "abort"
        """Whether the mail is for all of its recipients or for nobody."""
        if self.aborts and chunking == "eager":
            raise ValueError("a mail that goes to all or none cannot go out before the replies are known")
        self.chunking: bool | Literal["eager"] = True if is_lmtp and chunking == "eager" else chunking
        """Whether the message goes in chunks, as it is wished, but that none is "eager" in LMTP."""
        self.is_eager: bool = self.chunking == "eager"
        """Whether its chunks wait for no reply to the envelope."""
        self.is_sized: bool = is_sized
        """Whether MAIL says how many octets the message has."""
        keywords = (*parameters.keywords, "SIZE") if is_sized else parameters.keywords
        used = mail_extensions(keywords, parameters.is_binary, chunking is not False)
        check_offered(used, offered)
        sized, wished = {"SIZE": "0"} if is_sized else {}, NO_PARAMETERS
        if options is not None:
            options.requires(offered, is_secured=is_verified)
            used = (*used, *options.needed_extensions)
            wished = options.as_parameters()
        self._parameters = Parameters.joined(parameters, sized, wished) if sized or wished else parameters
        if chunking is False and self._parameters.is_binary:
            raise ValueError("a binary message goes in chunks (RFC 3030 3)")
        self.words: tuple[bytes, bytes] = (
            parameter_words(parameters) + (b" SIZE=" if is_sized else b""),
            parameter_words(wished),
        )
        """What stands behind the address of MAIL: before the size of the mail, and behind it."""
        self.wishes: Wishes = wishes
        self._used = used
        self.is_pipelining: bool = is_pipelining
        """Whether several commands may be unanswered at a time."""
        self.extensions: tuple[str, ...] = self._with(())
        """Those of the server's that such a mail makes use of."""
        self.is_binary: bool = self._parameters.is_binary
        """Whether the message is announced as binary."""
        self.is_utf8: bool = "SMTPUTF8" in map(str.upper, self._parameters.keywords)
        """Whether MAIL says SMTPUTF8 (RFC 6531): addresses beyond ASCII may follow."""
        self.has_data: bool = chunking is False and not self.aborts
        """Whether DATA is among the commands."""
        self.kind: GroupKind = DATA if self.has_data else ENVELOPE
        """What they are as a group."""
        self._wording: Wording | None = None  # of the last mail

    def check_addresses(self, sender: Mailbox | None, recipients: Sequence[Mailbox]) -> None:
        """Raise NotSupported if an address is beyond ASCII and MAIL does not say SMTPUTF8 (RFC 6531 3.4)."""
        if self.is_utf8:
            return
        for mailbox in recipients if sender is None else (sender, *recipients):
            if not mailbox.is_ascii:
                raise NotSupported(
                    f"{mailbox} is beyond ASCII, and SMTPUTF8 is not among the parameters of MAIL", extension="SMTPUTF8"
                )

    def wording_for(self, sender: Mailbox | None, recipients: tuple[Mailbox, ...], begins_anew: bool) -> "Wording":
        """Return what the commands are for such a mail: the same as for the last one, if they are. Raises ValueError
        for what no command can hold."""
        wording = self._wording
        if not (
            wording is not None
            and wording.recipients is recipients
            and wording.sender is sender
            and wording.begins_anew is begins_anew
        ):
            wording = self._wording = Wording(self, sender, recipients, begins_anew)
        return wording

    def beginning(self, sender: Mailbox | None, size: int | None, *, begins_anew: bool) -> list[Command[object]]:
        """Return the commands that go before those which name the recipients, for a mail from `sender`, of so many
        octets, if it has a `size`; with RSET, if it `begins_anew`."""
        parameters = self._parameters if size is None else self._parameters.replaced("SIZE", str(size))
        return [Rset(), Mail(sender, parameters)] if begins_anew else [Mail(sender, parameters)]

    def extensions_for(self, wishes: Sequence[RecipientOptions | None], offered: Extensions) -> tuple[str, ...]:
        """Return the extensions that such a mail makes use of, with these `wishes` for its recipients. Raises
        NotSupported for those that these need and were not `offered`."""
        needed: dict[str, None] = {}
        for wished in {id(wished): wished for wished in wishes if wished is not None}.values():
            needed.update(dict.fromkeys(wished.needed_extensions))
        check_offered(needed, offered)
        return self._with(tuple(needed)) if needed else self.extensions

    def naming(self, recipients: Sequence[Mailbox], wishes: Sequence[RecipientOptions | None]) -> Iterator[Rcpt]:
        """Return the commands that name `recipients`, for each of whom there are `wishes`, or for nobody."""
        if not wishes:
            return map(Rcpt, recipients)
        known: dict[int, Parameters] = {}
        return map(Rcpt, recipients, map(partial(self._parameters_for, known), wishes))

    def _parameters_for(self, known: dict[int, Parameters], wished: RecipientOptions | None) -> Parameters:
        # Many recipients may have one wish in common.
        if wished is None:
            return NO_PARAMETERS
        if id(wished) not in known:
            known[id(wished)] = wished.as_parameters(utf8=self.is_utf8)
        return known[id(wished)]

    def _with(self, needed: Sequence[str]) -> tuple[str, ...]:
        return (*self._used, *needed, "PIPELINING") if self.is_pipelining else (*self._used, *needed)
