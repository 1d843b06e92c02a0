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

__all__ = ["Opening", "Wishes", "check_mail"]

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
        "_after",
        "_before",
        "_is_pipelining",
        "_parameters",
        "_used",
        "aborts",
        "begins_anew",
        "chunking",
        "command_count",
        "extensions",
        "has_data",
        "head",
        "is_binary",
        "is_eager",
        "is_sized",
        "is_utf8",
        "kind",
        "lines",
        "pattern",
        "pattern_in_row",
        "recipients",
        "sender",
        "tail",
        "wishes",
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
        self._before: bytes = parameter_words(parameters) + (b" SIZE=" if is_sized else b"")
        self._after: bytes = parameter_words(wished)
        self.wishes: Wishes = wishes
        self._used = used
        self._is_pipelining = is_pipelining
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
        self.sender: Mailbox | None = None
        self.recipients: Sequence[Mailbox] = ()
        self.begins_anew: bool = False
        self.head: bytes = b""
        """What the commands are on the wire, for a mail from `sender` to `recipients`, which begins with RSET if it
        `begins_anew`: up to where its size stands..."""
        self.tail: bytes = b""
        """...and behind that."""
        self.lines: Sequence[bytes] = ()
        """The lines that `tail` is, where no more than one command may be unanswered at a time."""
        self.command_count: int = 0
        """How many they are..."""
        self.pattern: re.Pattern[bytes] = expected(self.kind, 2)
        """...and what they are answered, if all goes as is to be expected..."""
        self.pattern_in_row: re.Pattern[bytes] = expected_in_row(DONE_ALONE, self.pattern)
        """...and what the end of a message and they are, if they leave behind it."""

    def check_addresses(self, sender: Mailbox | None, recipients: Sequence[Mailbox]) -> None:
        """Raise NotSupported if an address is beyond ASCII and MAIL does not say SMTPUTF8 (RFC 6531 3.4)."""
        if self.is_utf8:
            return
        for mailbox in recipients if sender is None else (sender, *recipients):
            if not mailbox.is_ascii:
                raise NotSupported(
                    f"{mailbox} is beyond ASCII, and SMTPUTF8 is not among the parameters of MAIL", extension="SMTPUTF8"
                )

    def write_for(self, sender: Mailbox | None, recipients: Sequence[Mailbox], *, begins_anew: bool) -> None:
        """Write `head`, `tail` and `lines` for such mails. Raises ValueError for what no command can hold."""
        path = NULL_PATH if sender is None else b"<%b>" % sender.encode()
        head = b"%bMAIL FROM:%b%b" % (b"RSET\r\n" if begins_anew else b"", path, self._before)
        tail = b"%b\r\nRCPT TO:<%b>\r\n%b" % (
            self._after,
            b">\r\nRCPT TO:<".join([recipient.encode() for recipient in recipients]),
            b"DATA\r\n" if self.has_data else b"",
        )
        count = len(recipients) + 1 + begins_anew + self.has_data
        check_lines(head + tail, count)
        # At once: where there is no memory for all of it, the next mail finds what there was.
        pattern = expected(self.kind, count)
        in_row = expected_in_row(DONE_ALONE, pattern)
        lines = () if self._is_pipelining else tail.splitlines(keepends=True)
        self.sender, self.recipients, self.begins_anew = sender, recipients, begins_anew
        self.head, self.tail, self.lines, self.command_count = head, tail, lines, count
        self.pattern, self.pattern_in_row = pattern, in_row

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
        return (*self._used, *needed, "PIPELINING") if self._is_pipelining else (*self._used, *needed)
