"""Opening: the commands with which a mail transaction begins, looked at before any of them is queued."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from ..errors import LocalProtocolError
from .commands import Command, Data, Mail, Rcpt, Rset
from .connection import Connection
from .extensions import Extensions
from .group import Group, GroupKind
from .options import MailOptions, RecipientOptions
from .parameters import Parameters, check_offered, mail_extensions
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
        used = mail_extensions(parameters.keywords, parameters.is_binary, chunking is not False)
        if not offered.names.issuperset(used):
            check_offered(used, offered)
        if options is not None:
            options.requires(offered, is_secured=connection.is_verified)
            used = (*used, *options.needed_extensions)
            parameters = Parameters.joined(parameters, options.as_parameters())
        has_data = chunking is False and on_refused == "send"
        group: Group | None = None
        commands: list[Command[object]] = []
        if connection.takes_groups and not any(recipient_options):
            kind = GroupKind.DATA if has_data else GroupKind.ENVELOPE
            group = Group(kind, sender, recipients, parameters, begins_anew=begins_anew)
        else:
            commands = [Rset(), Mail(sender, parameters)] if begins_anew else [Mail(sender, parameters)]
            named, needed = _named(recipients, recipient_options, offered, utf8="SMTPUTF8" in parameters)
            commands += named
            used = (*used, *needed)
            if has_data:
                commands.append(Data())
        return cls(group, commands, (*used, "PIPELINING") if connection.is_pipelining else used)


def _named(
    recipients: Sequence[Mailbox],
    recipient_options: Sequence[RecipientOptions | None],
    offered: Extensions,
    *,
    utf8: bool,
) -> tuple[list[Rcpt], list[str]]:
    # The commands that name the recipients, and the extensions that they need.
    needed: list[str] = []
    if not any(recipient_options):
        return [Rcpt(recipient) for recipient in recipients], needed
    commands: list[Rcpt] = []
    for recipient, wished in zip(recipients, recipient_options, strict=True):
        wished = wished or _NO_WISH
        wished.requires(offered)
        needed += wished.needed_extensions
        commands.append(Rcpt(recipient, wished.as_parameters(utf8=utf8)))
    return commands, needed
