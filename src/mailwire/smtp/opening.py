"""Opening: the commands with which a mail transaction begins, looked at before any of them is queued."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from ..errors import LocalProtocolError
from .commands import Command, Data, Mail, Rcpt, Rset
from .connection import Connection
from .extensions import Extensions
from .group import Group, GroupKind
from .options import MailOptions, RecipientOptions
from .parameters import MAIL_EXTENSIONS, Parameters, check_offered, needed_extensions
from .paths import Mailbox

__all__ = ["Opening"]

_NO_WISH: Final = RecipientOptions()
_NOTHING: Final = Extensions()


class Opening(NamedTuple):
    """How a transaction begins: by a `group`, or by single `commands`. It makes use of the `extensions`."""

    group: Group | None
    commands: Sequence[Command[object]]
    extensions: Sequence[str]

    @classmethod
    def of(
        cls,
        connection: Connection,
        sender: Mailbox | None,
        recipients: tuple[Mailbox, ...],
        parameters: Parameters,
        options: MailOptions | None,
        recipient_options: Sequence[RecipientOptions | None],
        on_refused: Literal["send", "abort"],
        chunking: bool | Literal["eager"],
        *,
        begins_anew: bool,
    ) -> "Opening":
        """Return how a transaction begins on `connection`; with RSET, if it `begins_anew`. The rest is what
        `Transaction` takes.

        Raises LocalProtocolError, ValueError, NotSupported and SecurityError as `Transaction` does.
        """
        if not recipients:
            raise LocalProtocolError("a mail transaction needs at least one recipient")
        if recipient_options and len(recipient_options) != len(recipients):
            raise ValueError(f"expected options for {len(recipients)} recipients, got {len(recipient_options)}")
        if on_refused == "abort" and chunking == "eager":
            raise ValueError("a mail that goes to all or none cannot go out before the replies are known")
        if chunking is False and parameters.is_binary:
            raise ValueError("a binary message goes in chunks (RFC 3030 3)")
        offered = _NOTHING if connection.extensions is None else connection.extensions
        used = needed_extensions(parameters, MAIL_EXTENSIONS)
        if chunking is not False:
            used.append("CHUNKING")
        check_offered(used, offered)
        if options is not None:
            options.requires(offered, is_secured=connection.is_verified)
            used += options.needed_extensions
            parameters = Parameters.joined(parameters, options.as_parameters())
        has_data = chunking is False and on_refused == "send"
        group: Group | None = None
        commands: list[Command[object]] = []
        if connection.takes_groups and not any(recipient_options):
            kind = GroupKind.DATA if has_data else GroupKind.ENVELOPE
            group = Group(kind, sender, recipients, parameters, begins_anew=begins_anew)
        else:
            commands = [Rset(), Mail(sender, parameters)] if begins_anew else [Mail(sender, parameters)]
            commands += _named(recipients, recipient_options, offered, used, utf8="SMTPUTF8" in parameters)
            if has_data:
                commands.append(Data())
        if connection.is_pipelining:
            used.append("PIPELINING")
        return cls(group, commands, used)


def _named(
    recipients: Sequence[Mailbox],
    recipient_options: Sequence[RecipientOptions | None],
    offered: Extensions,
    used: list[str],
    *,
    utf8: bool,
) -> list[Rcpt]:
    # The commands that name the recipients; to what is `used`, what they need is added.
    if not any(recipient_options):
        return [Rcpt(recipient) for recipient in recipients]
    commands: list[Rcpt] = []
    for recipient, wished in zip(recipients, recipient_options, strict=True):
        wished = wished or _NO_WISH
        wished.requires(offered)
        used += wished.needed_extensions
        commands.append(Rcpt(recipient, wished.as_parameters(utf8=utf8)))
    return commands
