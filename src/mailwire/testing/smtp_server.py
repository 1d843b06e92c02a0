"""SMTPServer: the server's side of one SMTP session, sans-I/O (RFC 5321, RFC 3030)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from .._wire.text import LINE_END
from ..smtp.paths import Mailbox, check_domain
from .mail_data import Content, MailData
from .maildrop import Envelope, Maildrop
from .phrases import Phrasebook
from .policy import DEFAULTS, Policy
from .quirks import STANDARD, Quirk
from .refusal import Refusal
from .session import Session, TLSState
from .smtp_arguments import Arguments, parse_arguments
from .smtp_extensions import EXTENSIONS, HOLD_LIMIT, HOLD_UNTIL_LIMIT, check_parameters
from .smtp_replies import REPLIES

__all__ = ["SMTPServer"]

# RFC 3030 2
_BDAT: Final = re.compile(rb"([0-9]{1,20})( LAST)?", re.IGNORECASE)


@dataclass
class _Chunk:
    # A chunk on its way in: how long it is, and how much has not come yet.
    size: int
    left: int
    is_last: bool
    mail: Envelope | Refusal  # what it belongs to, or for what it was refused beforehand


class SMTPServer(Session):
    """One SMTP session, which delivers to `maildrop`.

    policy: what it demands and refuses; quirk: how it differs from the standards.
    tls: "available" offers STARTTLS, "established" is for a port that speaks TLS from the first byte.
    peer: the client's address, for a server that greets by it.

    Feed what arrives to `receive_data`. At the beginning and after each piece write what `data_to_send()` returns; when
    `wants_tls` then, shake hands, set `channel` and call `tls_established`; when `closing` then, close.
    """

    def __init__(
        self,
        maildrop: Maildrop,
        *,
        policy: Policy = DEFAULTS,
        quirk: Quirk = STANDARD,
        tls: TLSState = "unavailable",
        peer: str = "127.0.0.1",
    ) -> None:
        codes = "ENHANCEDSTATUSCODES"
        shows_codes = codes in policy.extensions and codes not in quirk.smtp.withheld_extensions
        super().__init__(maildrop, policy, Phrasebook(REPLIES, quirk.smtp.replies, shows_codes), tls, peer)
        self._quirk = quirk.smtp
        self._hello: str | None = None  # the verb of it
        self._messages = 0  # that were begun
        self._mail: Envelope | None = None  # what MAIL said; None outside a transaction
        self._recipients: list[tuple[str, Mapping[str, str | None]]] = []  # that were accepted, with their parameters
        self._domains: set[str] = set()  # of all who were accepted in this session
        self._mail_data: MailData | None = None  # while a message comes in behind DATA
        self._chunked: Content | None = None  # of a message of which a chunk has come
        self._chunk: _Chunk | None = None  # while it comes in
        self._say("greeting")

    # The session

    def _forget(self) -> None:
        super()._forget()
        self._hello = None
        self._end_transaction()

    def _receive_command(self, verb: str, argument: bytes) -> None:
        # RFC 5321 4.1.1: "SMTP servers SHOULD tolerate trailing white space before the terminating <CRLF>".
        verb = self._step = verb.rstrip("\t")
        command = self._COMMANDS.get(verb)
        if command is None or verb in self._quirk.unknown_commands:
            raise Refusal("unknown")
        command(self, argument.rstrip(b" \t"))

    def _ehlo(self, argument: bytes) -> None:
        first = self._line("ehlo", name=self._greet(self._HELLO, argument))
        status, texts = first[:3], [first[4:]]
        texts += [self._announcement(keyword) for keyword in EXTENSIONS if self._offers(keyword)]
        for number, text in enumerate(texts, 1):
            separator = " " if number == len(texts) else "-"
            self._write(f"{status}{separator}{text}\r\n".encode())

    def _helo(self, argument: bytes) -> None:
        self._say("helo", name=self._greet("HELO", argument))

    def _greet(self, verb: str, argument: bytes) -> str:
        is_needed = argument or not self._quirk.takes_bare_hello
        try:
            name = check_domain(argument.decode("utf-8")) if is_needed else ""
        except ValueError:
            raise Refusal("syntax", expected=f"{verb} and a domain or an address literal") from None
        self._hello = verb
        self._end_transaction()  # RFC 5321 4.1.4
        return name

    def _offers(self, keyword: str) -> bool:
        if keyword in self._quirk.withheld_extensions or keyword not in self._policy.extensions:
            return False
        match keyword:
            case "STARTTLS":
                return self._tls == "available"
            case "REQUIRETLS":
                return self.is_encrypted  # RFC 8689 2
            case "LIMITS":
                return bool(self._policy.limits)
            case "BINARYMIME":
                return self._offers("CHUNKING")  # RFC 3030 3
        return keyword != "AUTH" or self._offers_authentication

    def _announcement(self, keyword: str) -> str:
        words = {
            "SIZE": (str(self._policy.size_limit),),
            "FUTURERELEASE": (str(HOLD_LIMIT), HOLD_UNTIL_LIMIT),
            "MT-PRIORITY": ("MIXER",),
            "LIMITS": tuple(f"{name}={limit}" for name, limit in self._policy.limits.items()),
            "AUTH": self._mechanisms,
        }
        return " ".join((keyword, *words.get(keyword, ())))

    def _starttls(self, argument: bytes) -> None:
        self._refuse_argument("STARTTLS", argument)
        if self.is_encrypted:
            raise Refusal("sequence", reason="TLS is in force already")
        if not self._offers("STARTTLS"):
            raise Refusal("unavailable")
        self._refuse_transaction()
        self._agree_to_tls("starttls")

    def _auth(self, argument: bytes) -> None:
        if not self._offers("AUTH"):
            raise Refusal("unavailable")
        if self._hello != self._HELLO:
            raise Refusal("sequence", reason=f"{self._HELLO} comes first")
        if self.user is not None:
            raise Refusal("sequence", reason="authenticated already")
        self._refuse_transaction()
        self._authenticate(argument)

    def _log_in(self, user: str) -> None:
        self.user: str | None = user
        self._say("authenticated", user=user)

    def _noop(self, argument: bytes) -> None:
        self._say("noop")

    def _vrfy(self, argument: bytes) -> None:
        if not argument:
            raise Refusal("syntax", expected="VRFY and a name")
        self._say("vrfy")

    def _expn(self, argument: bytes) -> None:
        raise Refusal("unavailable")

    def _help(self, argument: bytes) -> None:
        known = [verb for verb in self._COMMANDS if verb not in self._quirk.unknown_commands]
        self._say("help", commands=" ".join(known))

    def _quit(self, argument: bytes) -> None:
        self._refuse_argument("QUIT", argument)
        self._say("quit")
        self.closing: bool = True

    # The mail transaction

    def _mail_from(self, argument: bytes) -> None:
        if self._hello is None:
            raise Refusal("sequence", reason=f"{self._HELLO} comes first")
        self._refuse_transaction()
        if self._policy.require_auth and self.user is None:
            raise Refusal("authentication required")
        limit = self._policy.message_limit
        if limit is not None and self._messages == limit:
            self.closing = True
            raise Refusal("too many messages", limit=limit)
        path, parameters = self._parse("MAIL", b"FROM:", argument)
        self._check_parameters("MAIL", parameters)
        if int(parameters.get("SIZE") or 0) > self._policy.size_limit:
            raise Refusal("message too big", limit=self._policy.size_limit)
        sender = self._mailbox(path, parameters, "sender syntax") if path else None
        if sender is not None and self._policy.refuses(sender):
            raise Refusal("sender refused", path=sender)
        reply = None if sender is None else self._policy.sender_reply(sender)
        if reply is None or reply.startswith("2"):
            self._mail = Envelope(str(sender or ""), (), parameters)
            self._messages += 1
        if reply is None:
            self._say("sender accepted", path=sender or "")
        else:
            self._answer_as_told(reply)

    def _answer_as_told(self, reply: str) -> None:
        self._write(reply.encode() + LINE_END)
        self.closing = reply.startswith("421")

    def _check_parameters(self, verb: str, parameters: Mapping[str, str | None], *, utf8: bool = False) -> None:
        check_parameters(
            verb, parameters, lambda keyword: self._hello == self._HELLO and self._offers(keyword), utf8=utf8
        )

    def _rcpt_to(self, argument: bytes) -> None:
        if self._mail is None:
            raise Refusal("sequence", reason="MAIL comes first")
        self._refuse_chunked()
        path, parameters = self._parse("RCPT", b"TO:", argument)
        self._check_parameters("RCPT", parameters, utf8="SMTPUTF8" in self._mail.parameters)
        recipient = self._mailbox(path, self._mail.parameters, "recipient syntax")
        reply = self._policy.recipient_reply(recipient)
        if reply is None and not self._maildrop.has_recipient(recipient):
            raise Refusal("recipient unknown", path=recipient)
        if reply is None or reply.startswith("2"):
            self._check_limits(recipient)
            self._domains.add(recipient.domain.casefold())
            self._recipients.append((str(recipient), parameters))
        if reply is None:
            self._say("recipient accepted", path=recipient)
        else:
            self._answer_as_told(reply)

    def _check_limits(self, recipient: Mailbox) -> None:
        limit = self._policy.recipient_limit
        if limit is not None and len(self._recipients) == limit:
            raise Refusal("too many recipients", limit=limit)  # RFC 5321 4.5.3.1.10
        limit = self._policy.recipient_domain_limit
        if limit is not None and len(self._domains | {recipient.domain.casefold()}) > limit:
            raise Refusal("too many domains", limit=limit)

    def _parse(self, verb: str, keyword: bytes, argument: bytes) -> Arguments:
        arguments = parse_arguments(argument, keyword, takes_bare_path=self._quirk.takes_bare_paths)
        if arguments is None:
            raise Refusal("syntax", expected=f"{verb} {keyword.decode()}<path> and parameters, each once")
        return arguments

    def _mailbox(self, path: str, parameters: Mapping[str, str | None], situation: str) -> Mailbox:
        try:
            mailbox = Mailbox.parse(path)
        except ValueError:
            raise Refusal(situation) from None
        if not mailbox.is_ascii and "SMTPUTF8" not in parameters:
            raise Refusal("non-ascii")  # RFC 6531 3.5
        return mailbox

    def _data(self, argument: bytes) -> None:
        self._refuse_argument("DATA", argument)
        mail = self._mail_to_be_sent()
        self._refuse_chunked()
        if _is_binary(mail):
            raise Refusal("sequence", reason="BINARYMIME comes by BDAT")  # RFC 3030 3
        self._end_transaction()  # no command comes before the message has
        self._mail_data = MailData(mail, self._policy.size_limit)
        self._say("data")

    def _bdat(self, argument: bytes) -> None:
        if not self._offers("CHUNKING"):
            raise Refusal("unknown")
        parsed = _BDAT.fullmatch(argument)
        if parsed is None:
            self.closing = True  # nobody knows where the chunk ends
            raise Refusal("syntax", expected="BDAT, a size and perhaps LAST")
        size = int(parsed[1])
        self._chunk = _Chunk(size, size, parsed[2] is not None, self._mail_of_chunk())

    def _mail_of_chunk(self) -> Envelope | Refusal:
        try:
            mail = self._mail_to_be_sent()
        except Refusal as refusal:
            if self._mail is not None and self._chunked is None:
                self._chunked = Content(self._policy.size_limit)
                self._chunked.refusal = refusal.situation
            return refusal  # to be told when the chunk has come
        if self._chunked is None:
            self._chunked = Content(self._policy.size_limit, is_binary=_is_binary(mail))
        # RFC 3030 2: behind a refused chunk all others are refused, up to RSET.
        is_refused = self._chunked.refusal is not None
        return Refusal("sequence", reason="a chunk was refused, RSET comes first") if is_refused else mail

    def _mail_to_be_sent(self) -> Envelope:
        if self._mail is None:
            raise Refusal("sequence", reason="MAIL comes first")
        if not self._recipients:
            raise Refusal("no recipients")
        recipients, parameters = zip(*self._recipients, strict=True)
        return replace(self._mail, recipients=recipients, recipient_parameters=parameters)

    def _refuse_chunked(self) -> None:
        if self._chunked is not None:
            raise Refusal("sequence", reason="the message has begun with a chunk")

    def _rset(self, argument: bytes) -> None:
        self._refuse_argument("RSET", argument)
        self._end_transaction()
        self._say("rset")

    def _refuse_argument(self, verb: str, argument: bytes) -> None:
        if argument:
            raise Refusal("syntax", expected=f"{verb} alone")

    def _refuse_transaction(self) -> None:
        if self._mail is not None:
            raise Refusal("sequence", reason="a mail transaction is under way")

    def _end_transaction(self) -> None:
        self._mail = self._chunked = None
        self._recipients = []

    # The message

    @property
    def _holds_unanswered(self) -> bool:
        has_begun = self._chunk is not None or (self._mail_data is not None and self._mail_data.has_begun)
        return has_begun or super()._holds_unanswered

    def _take_next(self) -> bool:
        if self._chunk is not None:
            return self._take_of_chunk(self._chunk)
        if self._mail_data is None:
            return super()._take_next()
        block, start = self._lines.peek_block()
        if start == len(block):
            return False
        self._lines.skip_to(self._mail_data.feed(block, start))
        if self._mail_data.finished:
            message, self._mail_data = self._mail_data, None
            self._step = "."
            self._conclude(message.envelope, message.refusal, message.content())
        return True

    def _take_of_chunk(self, chunk: _Chunk) -> bool:
        block, start = self._lines.peek_block() if chunk.left else (b"", 0)
        octets = block[start : start + chunk.left]
        if chunk.left and not octets:
            return False
        if octets:
            self._lines.skip_to(start + len(octets))
            chunk.left -= len(octets)
            if self._chunked is not None and isinstance(chunk.mail, Envelope):
                self._chunked.add(octets)
        if not chunk.left:
            self._chunk = None
            self._answer_chunk(chunk)
        return True

    def _answer_chunk(self, chunk: _Chunk) -> None:
        mail, content = chunk.mail, self._chunked
        self._step = "." if chunk.is_last else "BDAT"
        if isinstance(mail, Refusal):
            self._refuse_chunk(mail, is_last=chunk.is_last)
        elif content is None:
            raise AssertionError("where a chunk belongs to a mail, there is its content")
        elif chunk.is_last:
            self._end_transaction()
            content.finish()
            self._conclude(mail, content.refusal, content.octets())
        elif content.refusal is not None:
            self._say(content.refusal, limit=self._policy.size_limit)
        else:
            self._say("chunk accepted", octets=chunk.size)

    def _refuse_chunk(self, refusal: Refusal, *, is_last: bool) -> None:
        self._say(refusal.situation, **refusal.known)

    def _conclude(self, envelope: Envelope, refusal: str | None, content: bytes) -> None:
        # Answers the message, which has come whole.
        if refusal is not None:
            self._say(refusal, limit=self._policy.size_limit)
            return
        reply = self._policy.message_reply(envelope.recipients)
        uid = self._maildrop.deliver(envelope, content) if reply is None or reply.startswith("2") else ""
        if reply is None:
            self._say("message accepted", id=uid)
        else:
            self._answer_as_told(reply)

    _HELLO: ClassVar = "EHLO"
    _COMMANDS: ClassVar[Mapping[str, Callable[["SMTPServer", bytes], None]]] = {
        "EHLO": _ehlo,
        "HELO": _helo,
        "MAIL": _mail_from,
        "RCPT": _rcpt_to,
        "DATA": _data,
        "BDAT": _bdat,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "EXPN": _expn,
        "HELP": _help,
        "QUIT": _quit,
        "STARTTLS": _starttls,
        "AUTH": _auth,
    }
    steps: ClassVar[tuple[str, ...]] = ("greeting", *_COMMANDS, ".")


def _is_binary(mail: Envelope) -> bool:
    return (mail.parameters.get("BODY") or "").upper() == "BINARYMIME"
