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
_UNFOLDS: Final = "groups are looked for where there is none; only time is lost"

_REMEMBERED: Final = "what is remembered is as good as what is made again"
_FIPS: Final = "OpenSSL asks for it in FIPS mode alone"
_REFUSED: Final = "what was too long before was refused before"

_PLACE: Final = "of what has left, its octets are not asked for"
_POLICY: Final = "a policy that is not to reject is to normalise"
_COPY: Final = "a copy is as good"
_CONTEXT: Final = "more of the context than matters changes nothing"
_HALVES: Final = "whole numbers are above a half where they are above the whole number beneath it"
_UNHEARD: Final = "it is caught where it was asked for, and nobody reads it"
_KEY: Final = "a key of so many octets is as good"
_UNQUOTED: Final = "no letter is ever quoted in a URL"

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
    ("smtp/mail_data", "block.endswith(b'XX\\nXX')"): _SLOWER,
    ("_wire/keywords", "name = keyword.decode('ascii').lower()"): "it is written in capitals in the end",
    ("smtp/extensions", "for word in self.get('limits', ()):"): _CASE,
    ("smtp/extensions", "word.rpartition('=')"): "a limit is digits alone, and holds no = of its own",
    ("smtp/reply", "self._code = "): _NOT_READ,
    ("smtp/reply", "self._repeated.get(None)"): _REMEMBERED,
    ("smtp/reply", "if reply.code not in _REPEATED and"): _REMEMBERED,
    ("smtp/reply", "len(self._repeated) <= _REPEATED_LIMIT"): _REMEMBERED,
    ("smtp/reply", "self._repeated[line] = None"): _REMEMBERED,
    ("_wire/lines", "self._drops_line_feed = None"): _FALSE,
    ("_wire/lines", "data.find(b'\\n', None)"): _SLOWER,
    ("_wire/lines", "if start <= end <= start + self.line_limit"): _SLOWER,
    ("_wire/lines", "if start < end < start + self.line_limit"): _SLOWER,
    ("_wire/lines", "if start < end <= start - self.line_limit"): _SLOWER,
    ("_wire/lines", "data.find(b'XX\\nXX', start)"): _SLOWER,
    ("_wire/lines", "if self._beginning else b'XXXX')"): "where there is nothing, no CR is at its end",
    ("_wire/lines", "if end > 0 else self.quote_beginning(text)"): _REFUSED,
    ("_wire/lines", "if end >= 1 else self.quote_beginning(text)"): _REFUSED,
    ("_wire/lines", "if self._beginning or True else piece"): _SLOWER,
    ("pop3/transaction", "if type(None) is int and 1 <= number"): _SLOWER,
    ("pop3/transaction", "and 2 <= number <= GREATEST_NUMBER and"): _SLOWER,
    ("pop3/transaction", "and 1 < number <= GREATEST_NUMBER and"): _SLOWER,
    ("pop3/transaction", "and 1 <= number < GREATEST_NUMBER and"): _SLOWER,
    ("pop3/transaction", "(type(None) is int) and (size >= 0)"): _SLOWER,
    ("pop3/transaction", "(type(size) is int) and (size > 0)"): _SLOWER,
    ("pop3/transaction", "(type(size) is int) and (size >= 1)"): _SLOWER,
    ("pop3/transaction", "(*response.line.split(), b'XXXX')"): "what is no number tells none, whatever it is",
    ("pop3/commands", "b'XXXX'.join(description)"): "there is one description at most, and nothing to join",
    ("pop3/authorization", "Response(None, self.timestamp)"): "a timestamp is found whichever the status",
    ("pop3/authorization", "Response(False, self.timestamp)"): "a timestamp is found whichever the status",
    ("pop3/authorization", "usedforsecurity=None"): _FIPS,
    ("pop3/authorization", "usedforsecurity=True"): _FIPS,
    ("pop3/authorization", "self.password.encode()).hexdigest()"): _FIPS,
    ("smtp/transaction", "self._is_open = True"): _CLOSED,
    ("smtp/group", "group.ends_group = None"): _FALSE,
    ("smtp/grouped_pipeline", "if group.size >= self.window.commands"): _UNFOLDS,
    ("smtp/grouped_pipeline", "or group.cost >= self.window.octets"): _UNFOLDS,
    ("smtp/grouped_pipeline", "_unfolded(entry, None, octets"): _PLACE,
    ("smtp/grouped_pipeline", "_unfolded(entry, b'', octets, None, size)"): _PLACE,
    ("smtp/grouped_pipeline", "_unfolded(entry, b'', octets, b'', None)"): _PLACE,
    ("smtp/grouped_pipeline", "_unfolded(entry, b'XXXX', octets"): _PLACE,
    ("smtp/grouped_pipeline", "_unfolded(entry, b'', octets, b'XXXX', size)"): _PLACE,
    ("_wire/dots", "if stop <= end and octets[stop - 1] == 13:"): "what LineEnds let through does not end in a CR",
    ("_wire/dots", "policy: LineEndPolicy='XXnormaliseXX'"): _POLICY,
    ("_wire/dots", "policy: LineEndPolicy='NORMALISE'"): _POLICY,
    ("_wire/dots", "data.find(b'.', None) < 0"): _SLOWER,
    ("_wire/dots", "data.find(b'.') < 0"): _SLOWER,
    ("_wire/dots", "data.rfind(b'.', start) < 0"): _SLOWER,
    ("_wire/dots", "message.rfind(b'.') < 0"): _SLOWER,
    ("_wire/dots", "block = data[start:] if start or True else data"): _COPY,
    ("_wire/dots", "(self._context + block[-3:])[-2:]"): _CONTEXT,
    ("_wire/dots", "(self._context + block[-2:])[-3:]"): _CONTEXT,
    ("_wire/dots", "self._context = text[-3:]"): _CONTEXT,
    ("_wire/dots", "if end <= 0 or self._held"): _SLOWER,
    ("_wire/dots", "if end < 1 or self._held"): _SLOWER,
    ("_wire/dots", "end + length if end >= 0 and False else len(data)"): _SLOWER,
    ("_wire/dots", "end + length if end > 0 else len(data)"): _SLOWER,
    ("_wire/dots", "end + length if end >= 1 else len(data)"): _SLOWER,
    ("_wire/dots", "(data.startswith(b'.', start) or self._context.endswith(self._line_end))"): _SLOWER,
    ("_wire/dots", "self._find_terminator(text, None)"): "None is where a text begins",
    ("_wire/dots", "or 0 <= full <= plain else"): "they cannot be in the same place",
    ("_wire/lines", "end = data.find(b'\\n')"): _SLOWER,
    ("pop3/connection", "self._eof = None"): _FALSE,
    ("pop3/connection", "self._is_secured = None"): _FALSE,
    ("pop3/answers", "if 'pipelining' in self.capabilities"): _CASE,
    ("smtp/connection", "(type(None) is MailText)"): _SLOWER,
    ("smtp/connection", "block.endswith(b'XX\\nXX')"): _SLOWER,
    ("smtp/connection", "self.is_authenticated = None"): _FALSE,
    ("sasl/channel_binding", "raise ValueError(None)"): _UNHEARD,
    ("sasl/channel_binding", "raise ValueError('XXthis length"): _UNHEARD,
    ("sasl/channel_binding", "raise ValueError('THIS LENGTH"): _UNHEARD,
    ("sasl/channel_binding", "raise ValueError('XXthis is cut"): _UNHEARD,
    ("sasl/channel_binding", "raise ValueError('THIS IS CUT"): _UNHEARD,
    ("sasl/plain", "self._said = None"): _FALSE,
    ("sasl/oauth", "self._message = None"): _NOT_READ,
    ("sasl/oauth", "self._message = b'XXXX'"): _NOT_READ,
    ("sasl/oauth", "self._said = None"): _FALSE,
    ("sasl/oauth", "allows_controls=None)"): _FALSE,
    ("_wire/pipeline", "self._is_full = None"): _FALSE,
    ("_wire/pipeline", "(commands > window.commands / 2 or"): _HALVES,
    ("_wire/pipeline", "or octets > window.octets / 2)"): _HALVES,
    ("sasl/keys", "secrets.token_bytes(None)"): _KEY,
    ("sasl/keys", "secrets.token_bytes(33)"): _KEY,
    ("sasl/keys", "popitem(last=None)"): _FALSE,
    ("sasl/keys", "password, 'SHA256')"): "hmac takes the name in any case",
    ("sasl/redaction", "for kept in ('', 'XX/XX'))"): _UNQUOTED,
    ("sasl/redaction", "for kept in ('XXXX', '/'))"): _UNQUOTED,
    ("sasl/choice", "ranks.get(remembered.upper(), -2)"): "no rank is beneath 0",
    ("sasl/exchange", "self.is_begun = None"): _FALSE,
    ("sasl/exchange", "if sends_initial_response else 1)"): "no line is of one octet",
    ("sasl/scram", "encode_saslname('THE USER', user)"): "what it would refuse, SASLprep has refused",
    ("sasl/scram", "self._server_signature = None"): _FALSE,
}
