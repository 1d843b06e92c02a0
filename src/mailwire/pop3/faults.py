"""Faults: what the table of states, which knows kinds of commands alone, does not say of a command that cannot be sent;
and the errors for what a server says that is no answer to what was asked, and for answers that never come.
"""

from collections.abc import Sequence

from ..errors import ConnectionLost, Desynchronised, InjectedData, MessageTruncated, RemoteProtocolError
from .authorization import Auth, Stls
from .body import Body
from .commands import Command

__all__ = ["injected", "lost", "objection", "out_of_step"]


def objection(command: Command[object], *, is_secured: bool, is_utf8: bool) -> str | None:
    """Return why `command` cannot be sent in a session of which this is so; None if it can.

    is_secured: TLS was begun by STLS; is_utf8: UTF8 was said.
    """
    if isinstance(command, Stls) and is_secured:
        return f"{command} cannot be sent: TLS is in force already (RFC 2595 4)"
    if isinstance(command, Stls) and is_utf8:
        return f"{command} cannot be sent: it has no place behind UTF8 (RFC 6856 2.1)"
    if isinstance(command, Auth) and command.exchange.is_begun:
        return f"{command} was sent already: each exchange needs an Auth of its own"
    return None


def out_of_step(
    problem: str, line: bytes, asked: Command[object] | None, before: Command[object] | None, *, is_open: bool
) -> RemoteProtocolError:
    """Return the error for `line`, where an answer to `asked` was due, or nothing if that is None.

    before: the command that was answered last: the answer to it may be what went wrong.
    is_open: whether the maildrop is. Before it is, no answer has a body that could be taken for others.
    """
    cause = _likely_cause(line, asked, before)
    message = f"{problem}: {cause}" if cause else problem
    if not is_open:
        return RemoteProtocolError(message)
    return Desynchronised(message, suspect=str(before) if before is not None and before.streamed else None)


def _likely_cause(line: bytes, asked: Command[object] | None, before: Command[object] | None) -> str:
    if not line:
        return "a stray empty line, as some servers send with an answer (Quirks.blank_lines)"
    if line.startswith(b"+ERR"):
        return "a server that says +ERR for -ERR (Quirks.plus_err)"
    if asked is not None and asked.streamed and line.startswith(b"+OK"):
        return "an answer too many has come, or a server that answers twice (Quirks.second_status)"
    if before is not None and before.streamed:
        return (
            f"the answer to {before} may have held a line with nothing but a dot, which this server does not double; "
            f"then the message is cut off there"
        )
    if asked is None and line.startswith(b"+OK") and before is not None:
        return f"{before} may have been answered twice"
    if asked is not None and not asked.multiline and line == b".":
        return "an answer of many lines, where one of one line is due"
    return ""


def lost(waiting: Sequence[Command[object]], body: Body | None, rest: str, *, is_ours: bool) -> ConnectionLost:
    """Return the error for a connection that the server closed before `waiting` were answered.

    body: that of the answer to the first of them, if it is a message and has begun; rest: what else came, quoted.
    is_ours: it was cut on this side.
    """
    what, missing, broken = "the server closed the connection", "instead of answering", "its answer"
    if is_ours:
        what, missing, broken = "the connection was cut on this side", "before the answer to", "the answer"
    in_flight = [str(command) for command in waiting]
    unanswered = in_flight[0] if in_flight else ""
    if len(in_flight) > 1:
        unanswered += f" and {len(in_flight) - 1} more"
    if body is not None:
        return MessageTruncated(
            f"{what} in the middle of {broken} to {unanswered}, after {body}{body.hint}",
            in_flight=in_flight,
            octets=body.octets,
        )
    return ConnectionLost(
        what
        + (f" {missing} {unanswered}" if unanswered else "")
        + (f", in the middle of a line: {rest}" if rest else ""),
        in_flight=in_flight,
    )


def injected(got: str) -> InjectedData:
    """Return the error for bytes, quoted in `got`, that came in the clear before a handshake."""
    return InjectedData(
        f"expected nothing between the go-ahead to STLS and the handshake, got {got}: somebody may be answering in the "
        "server's place"
    )
