"""Rules: what the table of states, which knows kinds of commands alone, does not say; and what breaks a session.

Whoever has made a `Transaction` may still talk by hand on its connection:

1. What says nothing of the mail, as NOOP, is his.
2. A recipient, DATA and the message are the transaction's to say as long as it has more to say: by hand, they are
   refused. It would know nothing of them, and its receipt would be wrong.
3. What ends the mail, as RSET, ends the transaction as well; and so does it if its commands are discarded. It says
   nothing more then, but RSET where that is due.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from ..errors import (
    ConnectionLost,
    InjectedData,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    RemoteProtocolError,
    TLSFailed,
)
from .commands import (
    Auth,
    Bdat,
    Command,
    Data,
    Ehlo,
    EndOfData,
    Expn,
    Helo,
    Help,
    Lhlo,
    Mail,
    Noop,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from .extensions import Extensions
from .reply import Reply
from .states import Transition

__all__ = [
    "STRAY",
    "Begun",
    "BegunTransaction",
    "check_spelling",
    "fault",
    "injection",
    "loss",
    "miscount",
    "objection",
]

# Of these the table says all. They are most of what is ever sent, and asked for first.
_PLAIN: Final = frozenset({Mail, Rcpt, Rset})

STRAY: Final = frozenset({220, 221})
"""The codes that greet and take leave (RFC 5321 4.3.2)."""

# To one of these they are no success, but the answer to something else, or a farewell. Commands of the caller's own may
# be answered so, as XCLIENT is.
_NOT_SO_ANSWERED: Final = (Auth, Bdat, Ehlo, EndOfData, Expn, Helo, Help, Mail, Noop, Rcpt, Rset, Vrfy)

# RFC 6531 3.1: these may hold an address beyond ASCII, with a server that offers SMTPUTF8.
_ADDRESSED: Final = (Mail, Rcpt, Vrfy, Expn)


def objection(
    command: Command[object], *, is_authenticated: bool, is_secured: bool, is_lmtp: bool, is_binary: bool
) -> str | None:
    """Return why `command` cannot be sent in a session of which this is so; None if it can.

    is_binary: the message announced last goes out as BODY=BINARYMIME.
    """
    if type(command) in _PLAIN:
        return None
    if isinstance(command, Auth):
        if is_authenticated:
            return f"{command} cannot be sent: the session is authenticated already (RFC 4954 4)"
        if command.exchange.is_begun:
            return f"{command} was sent already: each exchange needs an Auth of its own"
    elif isinstance(command, (Ehlo, Helo)):
        if isinstance(command, Lhlo) is not is_lmtp:
            return f"{command} cannot be sent: LMTP begins with LHLO, and SMTP does not (RFC 2033 4.1)"
    elif isinstance(command, StartTls) and is_secured:
        return f"{command} cannot be sent: TLS is in force already (RFC 3207 4.2)"
    elif isinstance(command, Data) and is_binary:
        return f"{command} cannot be sent: a binary message goes in chunks (RFC 3030 3)"
    return None


def check_spelling(command: Command[object], offered: Extensions) -> None:
    """Raise NotSupported if `command` names an address beyond ASCII to a server that has not `offered` SMTPUTF8."""
    if isinstance(command, _ADDRESSED) and "SMTPUTF8" not in offered.names and not command.encode().isascii():
        raise NotSupported(f"{command} is beyond ASCII, and the server does not offer SMTPUTF8", extension="SMTPUTF8")


def fault(
    command: Command[object], reply: Reply, row: Transition, *, is_early: bool, quote: Callable[[Reply], str]
) -> MailwireError | None:
    """Return what is wrong with `reply` as the answer to `command`, which leads where `row` says; None if nothing is.

    is_early: it is a verdict on a message before its end.
    quote: how the reply may be shown.
    """
    code = reply.code
    if code >= 400:
        return None
    following = row.done if code < 300 else row.more
    is_stray = code in STRAY and isinstance(command, _NOT_SO_ANSWERED)
    if following is not None and not is_stray and type(command) in _PLAIN:
        return None
    # RFC 3207 4: only 220 is the go-ahead. Whoever says anything else is not to be reasoned with.
    if isinstance(command, StartTls) and code != 220:
        return TLSFailed(f"expected 220 in reply to STARTTLS, got {quote(reply)}")
    if is_early or is_stray or following is None:
        expected = "4yz or 5yz" if is_early else "3yz or a refusal" if row.done is None else "a final reply"
        return RemoteProtocolError(f"expected {expected} to {command}, got {quote(reply)}")
    if isinstance(command, Auth) and code < 300 and not command.exchange.is_complete:
        return command.exchange.error()
    return None


def miscount(rest: bytes, *, may_be_taken: bool, quote: Callable[[], str]) -> RemoteProtocolError | None:
    """Return what is wrong if `rest` has come behind the last reply that is due, and that is to the end of a message
    which left while commands before it were unanswered; None if nothing is.

    may_be_taken: the reply takes the message, or others to its end may have.
    quote: how the rest may be shown.

    Whoever answers one command twice has not answered the last of them by the last of so many replies: any of those
    that are there may be the verdict. Where none of them takes the message, it was refused.
    """
    # RFC 5321 3.8: 421 may come unasked. Of one that has come in part, the next event tells.
    is_leave = b"421".startswith(rest[:3])
    if is_leave if may_be_taken else b"\n2" not in b"\n" + rest:
        return None
    return RemoteProtocolError(f"expected as many replies as commands, got one more, {quote()}: none can be relied on")


def injection(got: str) -> InjectedData:
    """Return the error for bytes, quoted in `got`, that came in the clear before a handshake."""
    return InjectedData(
        f"expected nothing between the go-ahead to STARTTLS and the handshake, got {got}: somebody may be answering in "
        "the server's place"
    )


def loss(
    awaited: Command[object] | None, in_flight: Sequence[Command[object]], rest: str, *, is_ours: bool = False
) -> ConnectionLost:
    """Return the error for a connection that ended while these were unanswered, `rest` quotes the half of a reply.

    is_ours: it was cut on this side.
    """
    what, missing = "the server closed the connection", "instead of replying to"
    if is_ours:
        what, missing = "the connection was cut on this side", "before the reply to"
    more = f" and {len(in_flight) - 1} more" if len(in_flight) > 1 else ""
    return ConnectionLost(
        what
        + (f" {missing} {awaited}{more}" if awaited else "")
        + (f", in the middle of a reply: {rest}" if rest else ""),
        in_flight=[str(command) for command in in_flight],
    )


class BegunTransaction(Protocol):
    """What is asked of a transaction."""

    @property
    def says_more(self) -> bool:
        """Whether more of the mail is to be said, or may be."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""

    def leave(self) -> None:
        """Take note that the mail was ended by hand."""

    def withdraw(self, discarded: frozenset[int]) -> None:
        """Take note that commands were discarded, which have these ids: perhaps its own."""


class Begun:
    """The transactions that are not finished, the oldest first."""

    def __init__(self) -> None:
        self._unfinished: deque[BegunTransaction] = deque()

    def __len__(self) -> int:
        return len(self._unfinished)

    def add(self, transaction: BegunTransaction, *, is_first: bool) -> None:
        """Add a transaction. `is_first`: nothing that was begun before it is unanswered."""
        if is_first:
            self._unfinished.clear()  # whoever was told of no answers
        self._unfinished.append(transaction)

    def take_finished(self) -> None:
        """Take away those that are finished."""
        unfinished = self._unfinished
        while unfinished and unfinished[0].finished:
            unfinished.popleft()

    def clear(self) -> None:
        """Take all away: the connection is over."""
        self._unfinished.clear()

    def refuse(self, what: str) -> None:
        """Raise LocalProtocolError if `what` is for a transaction to say."""
        if self._unfinished and self._unfinished[-1].says_more:
            raise LocalProtocolError(
                f"{what} cannot be sent by hand: a Transaction goes on, which says all of its mail itself. Write the "
                "message with its `send_data` and `end_data`; to send none, send RSET or call `discard_queued`, or "
                "`give_up` where neither can be"
            )

    def leave(self) -> None:
        """Tell the transaction that has more to say, if there is one, that its mail was ended by hand."""
        if self._unfinished and self._unfinished[-1].says_more:
            self._unfinished[-1].leave()

    def withdraw(self, discarded: Collection[object]) -> None:
        """Tell the transactions that these commands were discarded by hand."""
        if not (self._unfinished and discarded):
            return
        gone = frozenset(map(id, discarded))
        # The last one first: which of them says RSET, goes by what is still to be answered.
        for transaction in reversed(self._unfinished):
            transaction.withdraw(gone)
        self._unfinished = deque(each for each in self._unfinished if not each.finished)
