"""Exit statuses: those of sysexits.h, which mail programs have used since sendmail."""

from enum import IntEnum

from ..errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    InvalidMessage,
    LedgerBusy,
    LedgerError,
    MaildropRenumbered,
    MailwireError,
    NotSupported,
    ProtocolError,
    ReplyError,
    ResponseError,
    SecurityError,
    SinkFailed,
    SourceFailed,
    TLSFailed,
)

__all__ = ["Exit", "status_of"]


class Exit(IntEnum):
    """What a command has ended by. 128 and the number of a signal stands for that signal."""

    OK = 0
    USAGE = 64
    """The command was called in a way that it does not know."""
    DATA = 65
    """The message is none that can be sent."""
    NO_INPUT = 66
    """A file to read is not there, or cannot be read."""
    UNAVAILABLE = 69
    """The server has refused, for good."""
    CANNOT_CREATE = 73
    """Retrieved mail could not be stored."""
    IO = 74
    """Whoever sends the mail again may send it twice; or the ledger cannot be used, or what was found out could not be
    written."""
    TEMPORARY = 75
    """It may go well later."""
    PROTOCOL = 76
    """The server has said what makes no sense, or could not prove itself."""
    NO_PERMISSION = 77
    """The credentials were refused, or would have been given away."""
    CONFIGURATION = 78
    """Somebody has to decide something first."""
    UNREAD = 128 + 13
    """Nobody reads any more what is written: that is SIGPIPE, which has this number wherever there is one."""


def status_of(error: BaseException) -> Exit:
    """Return the status for what has ended a command."""
    if isinstance(error, MailwireError):
        if error.delivery is not None and error.delivery.may_be_there:
            return Exit.IO  # whoever tries again may send it twice, or does to those recipients who have it
        return _of_ours(error)
    if isinstance(error, OSError):
        return Exit.NO_INPUT
    return Exit.USAGE if isinstance(error, ValueError) else Exit.CONFIGURATION


def _of_ours(error: MailwireError) -> Exit:
    match error:
        case AuthenticationFailed():
            return Exit.TEMPORARY if error.is_transient else Exit.NO_PERMISSION
        case ReplyError() | ResponseError():
            return Exit.TEMPORARY if error.is_transient else Exit.UNAVAILABLE
        case InvalidMessage():
            return Exit.DATA
        case SourceFailed():
            return Exit.NO_INPUT
        case SinkFailed():
            return Exit.CANNOT_CREATE
        case LedgerBusy() | ConnectionFailed() | ConnectionLost() | DeadlineExceeded():
            return Exit.TEMPORARY
        case LedgerError():
            return Exit.IO
        case MaildropRenumbered() | NotSupported(extension="UIDL"):
            return Exit.CONFIGURATION
        case TLSFailed() if error.is_transient:
            return Exit.TEMPORARY
        case TLSFailed() | ProtocolError():
            return Exit.PROTOCOL
        case SecurityError():
            return Exit.NO_PERMISSION
    return Exit.UNAVAILABLE
