"""LMTPServer: the server's side of one LMTP session, sans-I/O (RFC 2033)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from .._wire.text import LINE_END
from .maildrop import Envelope
from .refusal import Refusal
from .smtp_server import SMTPServer

__all__ = ["LMTPServer"]


class LMTPServer(SMTPServer):
    """One LMTP session, made and driven as an SMTPServer is.

    It is greeted by LHLO, knows neither HELO nor EHLO, and answers a message once for each accepted recipient, in the
    order of these, with what the policy's `delivery_replies` say, or that the recipient has it. Where no recipient was
    accepted, DATA is answered 503, and the last chunk not at all (RFC 2033 4.2, 4.3).
    """

    def _mail_to_be_sent(self) -> Envelope:
        if self._is_for_nobody:
            raise Refusal("sequence", reason="RCPT comes first")
        return super()._mail_to_be_sent()

    def _refuse_chunk(self, refusal: Refusal, *, is_last: bool) -> None:
        if not (is_last and self._is_for_nobody):
            super()._refuse_chunk(refusal, is_last=is_last)

    @property
    def _is_for_nobody(self) -> bool:
        return self._mail is not None and not self._recipients

    def _conclude(self, envelope: Envelope, refusal: str | None, content: bytes) -> None:
        replies = [self._policy.delivery_reply(recipient) for recipient in envelope.recipients]
        receive = [place for place, reply in enumerate(replies) if reply is None or reply.startswith("2")]
        uid = ""
        if refusal is None and receive:
            delivered = replace(
                envelope,
                recipients=tuple(envelope.recipients[place] for place in receive),
                recipient_parameters=tuple(envelope.recipient_parameters[place] for place in receive),
            )
            uid = self._maildrop.deliver(delivered, content)
        for recipient, reply in zip(envelope.recipients, replies, strict=True):
            if refusal is not None:
                self._say(refusal, limit=self._policy.size_limit)
            elif reply is not None:
                self._write(reply.encode() + LINE_END)
                self.closing: bool = self.closing or reply.startswith("421")
            else:
                self._say("delivered", path=recipient, id=uid)
            self._end_answer()

    # RFC 2033 4.1: LHLO takes the place of both.
    _HELLO: ClassVar = "LHLO"
    _COMMANDS: ClassVar[Mapping[str, Callable[[SMTPServer, bytes], None]]] = {
        "LHLO": SMTPServer._ehlo,
        **{verb: command for verb, command in SMTPServer._COMMANDS.items() if verb not in ("EHLO", "HELO")},
    }
    steps: ClassVar[tuple[str, ...]] = ("greeting", *_COMMANDS, ".")
