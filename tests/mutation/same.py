"""Mutants that change nothing that could be seen: part of the line that they write, and why it is as good as before."""

from typing import Final

__all__ = ["SAME"]

_SLOWER: Final = "a short cut is not taken, and the long way leads to the same"
_FALSE: Final = "None is as false as False, and is asked for no more than that"
_CASE: Final = "keywords are found in any case"

_TAKEN: Final = "of a MAIL that was taken nothing more is asked"
_STRICT: Final = "how many there are was checked before"
_UNIQUE: Final = "the places differ, and nothing behind them is compared"
_NO_CERTIFICATE: Final = "what is no certificate gives nothing to bind to, whatever it is"
_ALWAYS: Final = "a session that is ready has been told of extensions, if of none; the question is the type checker's"

_BEFORE: Final = "3yz to it is a fault, and never comes here"
_CLOSED: Final = "a connection that was given up takes nothing, whoever asks"
_NOT_READ: Final = "nobody asks before it has another value"
_ANEW: Final = "each MAIL begins to count anew"
_UNFOLDS: Final = "groups are looked for where there is none; only time is lost"

SAME: Final[dict[tuple[str, str], str]] = {
    ("smtp/rules", "if type(None) in _PLAIN:"): _SLOWER,
    ("smtp/rules", "if following is not None and type(None) in _PLAIN:"): _SLOWER,
    ("smtp/commands", "if parameters is NO_PARAMETERS and (not parameters):"): _SLOWER,
    ("smtp/options", "_check_limit('a mail held for', self.hold_for, longest, 'FUTURERELEASE', least=None)"): _FALSE,
    ("message/addresses", "in_group = behind_group = None"): _FALSE,
    ("message/addresses", "self.is_open = None"): _FALSE,
    ("aio/tls", "session.getpeercert(binary_form=True) or b'XXXX')}"): _NO_CERTIFICATE,
    ("aio/initiation", "session.has_heard = None"): _FALSE,
    ("aio/initiation", "self._dialogue.knows_ehlo = None"): _FALSE,
    ("aio/initiation", "if 'starttls' not in self._extensions:"): _CASE,
    ("smtp/outcome", "heard.mail = None"): _TAKEN,
    ("smtp/outcome", "replies[2 if begins_anew else 1:], strict=None)"): _FALSE,
    ("smtp/outcome", "replies[2 if begins_anew else 1:])]"): _FALSE,
    ("smtp/opening", "if connection.extensions is None and False else connection.extensions"): _ALWAYS,
    ("smtp/opening", "zip(recipients, recipient_options, strict=None)"): _STRICT,
    ("smtp/opening", "zip(recipients, recipient_options, strict=False)"): _STRICT,
    ("smtp/opening", "zip(recipients, recipient_options):"): _STRICT,
    ("smtp/receipt", "zip(order, entries, strict=None)"): _STRICT,
    ("smtp/receipt", "zip(order, entries, strict=False)"): _STRICT,
    ("smtp/receipt", "zip(order, entries),"): _STRICT,
    ("smtp/receipt", "zip(order, entries, strict=True), key=None)"): _UNIQUE,
    ("smtp/receipt", "zip(order, entries, strict=True))))"): _UNIQUE,
    ("smtp/answers", "if 'pipelining' in self.extensions"): _CASE,
    ("smtp/answers", "window = self._window if 'pipelining' in self.extensions"): _CASE,
    ("smtp/transaction", "self._send_chunk(last=None)"): _FALSE,
    ("smtp/transaction", "if reply.code <= 300:"): _BEFORE,
    ("smtp/transaction", "if reply.code < 301:"): _BEFORE,
    ("smtp/transaction", "or self._accepted <= len(self._recipients):"): _SLOWER,
    ("smtp/transaction", "self._is_open = None"): _FALSE,
    ("smtp/group", "def itself(line: bytes, chunk: bytes=b'XXXX') -> int:"): "four octets of a chunk weigh nothing",
    ("smtp/group", "Reply(int(line[:4]), (line[4:],))"): "a space behind a number is no part of it",
    ("smtp/group", "self.chunk: bytes = None"): _NOT_READ,
    ("smtp/group", "self.message_octets: int = None"): _NOT_READ,
    ("smtp/group", "self.message_octets: int = 1"): _NOT_READ,
    ("smtp/group", "self._commands: tuple[Command[object], ...] = None"): _FALSE,
    ("smtp/group", "self._commands = None"): _FALSE,
    ("smtp/group", "said.insert(-2 if"): "before the only one is before it, however far one goes",
    ("smtp/group", "words = parameter_words(self.parameters) if self.parameters.keywords or True"): _SLOWER,
    ("smtp/grouped_pipeline", "self._groups = None"): _FALSE,
    ("smtp/grouped_pipeline", "self._groups += 2"): _UNFOLDS,
    ("smtp/grouped_pipeline", "self._groups += 1"): _UNFOLDS,
    ("smtp/grouped_pipeline", "self._groups -= 1"): _UNFOLDS,
    ("smtp/grouped_pipeline", "self._groups = 1"): _UNFOLDS,
    ("smtp/mail_data", "type(None) is MailText"): _SLOWER,
    ("smtp/mail_data", "self._stuffer is not None and type(block) is MailText"): _SLOWER,
    ("smtp/mail_data", "block.endswith(b'XX\\nXX')"): _SLOWER,
    ("smtp/mail_data", "self._is_fresh = None"): _SLOWER,
    ("smtp/mail_data", "self._is_fresh = False"): _SLOWER,
    ("smtp/mail_data", "self.standing = 1"): _ANEW,
}
