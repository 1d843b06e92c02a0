"""Rules: what the table of states, which knows kinds of commands alone, does not say about a command and its reply."""

from collections.abc import Callable

from ..errors import MailwireError, RemoteProtocolError, TLSFailed
from .commands import Auth, BdatLast, Command, Data, Ehlo, EndOfData, Helo, Lhlo, StartTls
from .reply import Reply
from .states import Transition

__all__ = ["fault", "objection"]


def objection(
    command: Command[object], *, is_authenticated: bool, is_secured: bool, is_lmtp: bool, is_binary: bool
) -> str | None:
    """Return why `command` cannot be sent in a session of which this is so; None if it can.

    is_binary: the message announced last goes out as BODY=BINARYMIME.
    """
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
    # RFC 3207 4: only 220 is the go-ahead. Whoever says anything else is not to be reasoned with.
    if isinstance(command, StartTls) and code != 220:
        return TLSFailed(f"expected 220 in reply to STARTTLS, got {quote(reply)}")
    # 220 and 221 greet and take leave. As the verdict on a message they are the answer to something else.
    is_stray = code in (220, 221) and isinstance(command, (EndOfData, BdatLast))
    if is_early or is_stray or (row.done if code < 300 else row.more) is None:
        expected = "4yz or 5yz" if is_early else "a final reply" if row.more is None else "3yz or a refusal"
        return RemoteProtocolError(f"expected {expected} to {command}, got {quote(reply)}")
    if isinstance(command, Auth) and code < 300 and not command.exchange.is_complete:
        return command.exchange.error()
    return None
