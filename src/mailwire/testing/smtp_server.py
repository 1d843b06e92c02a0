"""SMTPServer: the server's side of one SMTP session, sans-I/O (RFC 5321)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final, Literal

from ..smtp.paths import Mailbox, check_domain
from .mail_data import MailData
from .maildrop import Envelope, Maildrop
from .phrases import Phrasebook
from .policy import DEFAULTS, Policy
from .quirks import EXTENSIONS, STANDARD, Quirk
from .refusal import Refusal
from .session import Session, TLSState
from .smtp_arguments import Arguments, parse_arguments
from .smtp_replies import REPLIES

__all__ = ["SMTPServer"]

# The parameters of MAIL: the extension that defines each, and what its value can be ("": none).
_PARAMETERS: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    "SIZE": ("SIZE", re.compile(r"[0-9]{1,20}")),  # RFC 1870 6.1
    "BODY": ("8BITMIME", re.compile(r"7BIT|8BITMIME", re.IGNORECASE)),  # RFC 6152 2
    "SMTPUTF8": ("SMTPUTF8", re.compile(r"")),  # RFC 6531 3.4
    "AUTH": ("AUTH", re.compile(r".+")),  # RFC 4954 5
}


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
        shows_codes = "ENHANCEDSTATUSCODES" not in quirk.smtp.withheld_extensions
        super().__init__(maildrop, policy, Phrasebook(REPLIES, quirk.smtp.replies, shows_codes), tls, peer)
        self._quirk = quirk.smtp
        self._hello: Literal["EHLO", "HELO"] | None = None
        self._mail: Envelope | None = None  # what MAIL said; None outside a transaction
        self._recipients: list[str] = []
        self._mail_data: MailData | None = None  # while a message comes in
        self._say("greeting")

    # The session

    def _forget(self) -> None:
        super()._forget()
        self._hello = None
        self._end_transaction()

    def _receive_command(self, verb: str, argument: bytes) -> None:
        # RFC 5321 4.1.1: "SMTP servers SHOULD tolerate trailing white space before the terminating <CRLF>".
        verb = verb.rstrip("\t")
        command = self._COMMANDS.get(verb)
        if command is None or verb in self._quirk.unknown_commands:
            raise Refusal("unknown")
        command(self, argument.rstrip(b" \t"))

    def _ehlo(self, argument: bytes) -> None:
        first = self._line("ehlo", name=self._greet("EHLO", argument))
        status, texts = first[:3], [first[4:]]
        texts += [self._announcement(keyword) for keyword in EXTENSIONS if self._offers(keyword)]
        for number, text in enumerate(texts, 1):
            separator = " " if number == len(texts) else "-"
            self._write(f"{status}{separator}{text}\r\n".encode())

    def _helo(self, argument: bytes) -> None:
        self._say("helo", name=self._greet("HELO", argument))

    def _greet(self, verb: Literal["EHLO", "HELO"], argument: bytes) -> str:
        is_needed = argument or not self._quirk.takes_bare_hello
        try:
            name = check_domain(argument.decode("utf-8")) if is_needed else ""
        except ValueError:
            raise Refusal("syntax", expected=f"{verb} and a domain or an address literal") from None
        self._hello = verb
        self._end_transaction()  # RFC 5321 4.1.4
        return name

    def _offers(self, keyword: str) -> bool:
        if keyword in self._quirk.withheld_extensions:
            return False
        if keyword == "STARTTLS":
            return self._tls == "available"
        return keyword != "AUTH" or self._offers_authentication

    def _announcement(self, keyword: str) -> str:
        if keyword == "SIZE":
            return f"SIZE {self._policy.size_limit}"
        return " ".join(["AUTH", *self._mechanisms]) if keyword == "AUTH" else keyword

    def _starttls(self, argument: bytes) -> None:
        self._refuse_argument("STARTTLS", argument)
        if self.is_encrypted:
            raise Refusal("sequence", reason="TLS is in force already")
        if not self._offers("STARTTLS"):
            raise Refusal("unavailable")
        self._refuse_transaction()
        self._say("starttls")
        self._agree_to_tls()

    def _auth(self, argument: bytes) -> None:
        if not self._offers("AUTH"):
            raise Refusal("unavailable")
        if self._hello != "EHLO":
            raise Refusal("sequence", reason="EHLO comes first")
        if self.user is not None:
            raise Refusal("sequence", reason="authenticated already")
        self._refuse_transaction()
        self._authenticate(argument)

    def _log_in(self, user: str) -> None:
        self.user = user
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
        self.closing = True

    # The mail transaction

    def _mail_from(self, argument: bytes) -> None:
        if self._hello is None:
            raise Refusal("sequence", reason="EHLO comes first")
        self._refuse_transaction()
        if self._policy.require_auth and self.user is None:
            raise Refusal("authentication required")
        path, parameters = self._parse("MAIL", b"FROM:", argument)
        for keyword, value in parameters.items():
            self._check_parameter(keyword, value)
        sender = self._mailbox(path, parameters, "sender syntax") if path else None
        if sender is not None and self._policy.refuses(sender):
            raise Refusal("sender refused", path=sender)
        self._mail = Envelope(str(sender or ""), (), parameters)
        self._say("sender accepted", path=self._mail.sender)

    def _check_parameter(self, keyword: str, value: str | None) -> None:
        extension, valid = _PARAMETERS.get(keyword, (None, None))
        if extension is None or valid is None or self._hello != "EHLO" or not self._offers(extension):
            raise Refusal("parameter", parameter=keyword)  # RFC 5321 4.1.1.11
        if not valid.fullmatch(value or ""):
            raise Refusal("syntax", expected=f"another value of {keyword}")
        if extension == "SIZE" and int(value or "") > self._policy.size_limit:
            raise Refusal("message too big", limit=self._policy.size_limit)

    def _rcpt_to(self, argument: bytes) -> None:
        if self._mail is None:
            raise Refusal("sequence", reason="MAIL comes first")
        path, parameters = self._parse("RCPT", b"TO:", argument)
        if parameters:
            raise Refusal("parameter", parameter=next(iter(parameters)))
        recipient = self._mailbox(path, self._mail.parameters, "recipient syntax")
        if not self._maildrop.has_recipient(recipient):
            raise Refusal("recipient unknown", path=recipient)
        self._recipients.append(str(recipient))
        self._say("recipient accepted", path=recipient)

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
        if self._mail is None:
            raise Refusal("sequence", reason="MAIL comes first")
        if not self._recipients:
            raise Refusal("no recipients")
        envelope = replace(self._mail, recipients=tuple(self._recipients))
        self._end_transaction()  # no command comes before the message has
        self._mail_data = MailData(envelope, self._policy.size_limit)
        self._say("data")

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
        self._mail = None
        self._recipients = []

    # The message

    @property
    def _holds_unanswered(self) -> bool:
        return super()._holds_unanswered or (self._mail_data is not None and self._mail_data.has_begun)

    def _take_next(self) -> bool:
        if self._mail_data is None:
            return super()._take_next()
        block, start = self._lines.peek_block()
        if start == len(block):
            return False
        self._lines.skip_to(self._mail_data.feed(block, start))
        if self._mail_data.finished:
            self._receive_message(self._mail_data)
        return True

    def _receive_message(self, message: MailData) -> None:
        self._mail_data = None
        if message.refusal is not None:
            self._say(message.refusal, limit=self._policy.size_limit)
        else:
            self._say("message accepted", id=self._maildrop.deliver(message.envelope, message.content()))

    _COMMANDS: ClassVar[Mapping[str, Callable[["SMTPServer", bytes], None]]] = {
        "EHLO": _ehlo,
        "HELO": _helo,
        "MAIL": _mail_from,
        "RCPT": _rcpt_to,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "EXPN": _expn,
        "HELP": _help,
        "QUIT": _quit,
        "STARTTLS": _starttls,
        "AUTH": _auth,
    }
