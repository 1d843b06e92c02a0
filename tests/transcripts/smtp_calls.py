"""What mailwire's own client makes of an SMTP or LMTP transcript on a socket, and what must come of each of its calls.

The calls are read from the transcript: to connect, to log in, to send each mail, to take leave. A login that is refused
is a call of its own; any other belongs to `connect`. So is what must come of them, from the octets alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field

from mailwire import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    Delivery,
    LMTPClient,
    Mailing,
    MailwireError,
    Receipt,
    RecipientsRefused,
    RemoteProtocolError,
    ReplyError,
    SenderRefused,
    ServiceNotAvailable,
    SMTPClient,
    TLSFailed,
)
from mailwire.smtp import Auth
from mailwire.testing import ScriptedPeer, Step
from tests.smtp.oracle import accounts_of, word_for, words_for
from tests.smtp.sessions import Mail
from tests.transcripts.calls import Calls
from tests.transcripts.places import Way
from tests.transcripts.smtp_story import SMTPStory, nonsense_in
from tests.transcripts.story import Story

__all__ = ["SMTPCalls"]


Kind = type[MailwireError] | None


@dataclass
class _Outcome:
    # The calls that were made, each with the error that came of it; the receipts of the mails; what the peer heard.

    calls: list[tuple[str, Kind]] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    heard: bytes = b""


class SMTPCalls(Calls[_Outcome]):
    """Those of an SMTP or LMTP client."""

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        self.mails = SMTPStory(story)
        self._nonsense: int | None = None  # behind it nothing can be read any more
        answered = list(zip(self.mails.asked, self.mails.answers, strict=False))
        if story.error:
            # 354 goes with DATA alone.
            odd = [number for number, (verb, answer) in enumerate(answered) if answer.code == 354 and verb != "DATA"]
            self._nonsense = answered[odd[0]][1].end if odd else nonsense_in(self._server)
            answered = answered[: odd[0]] if odd else answered
        self._answers = [answer for _, answer in answered]
        self._sense = len(self._server)  # how much of it can be read
        if self._nonsense is not None:
            self._sense = self._answers[-1].end if self._answers else 0
        self._is_in_a_row = "in-a-row" in story.options
        self._is_cancelled = b"\r\n*\r\n" in story.transcript.client
        logins = [answer.code for verb, answer in answered if verb == "AUTH"]
        self._logs_in_itself = bool(logins) and logins[-1] >= 400
        self._calls = list(self._name_calls())
        self._departure = self._find_departure()

    @property
    def is_starttls(self) -> bool:
        return self.mails.starttls

    # Playing

    async def _play(self, script: tuple[Step, ...], is_encrypted: bool, way: Way) -> _Outcome:
        # Up to the call with which the connection is lost.
        mails, outcome = self.mails, _Outcome()
        is_starttls = mails.starttls and not is_encrypted
        tls = "implicit" if is_encrypted else "starttls" if is_starttls else "none"
        async with ScriptedPeer(*script, lenient=way.is_cut) as peer:
            endpoint = peer.endpoint(
                protocol="lmtp" if mails.is_lmtp else "smtp",
                connect=way.to(peer),
                tls_context=way.context if tls != "none" else None,
                tls=tls,
                auth=mails.credentials if mails.mechanism and not self._logs_in_itself else None,
                allow_cleartext_auth=True,
                local_hostname=mails.name or "c",
            )
            client = LMTPClient(endpoint) if mails.is_lmtp else SMTPClient(endpoint)
            try:
                async for name, error in self._call(client, outcome):
                    outcome.calls.append((name, None if error is None else type(error)))
                    if not client.is_connected:
                        break
            finally:
                client.abort()
        await way.closed()
        outcome.heard = bytes(peer.heard)
        return outcome

    async def _call(self, client: SMTPClient, outcome: _Outcome) -> AsyncIterator[tuple[str, MailwireError | None]]:
        mechanism = self.mails.make_mechanism()
        yield "connect", await _error_of(client.connect())
        if mechanism is not None and self._logs_in_itself:
            yield "login", await _error_of(client.execute(Auth(mechanism)))
        if self._is_in_a_row:
            async with client.send_all(map(self._mailing, self.mails.mails), order="input") as results:
                found = [result async for result in results]
            assert all(result.error is None or result.error.delivery is result.delivery for result in found)
            outcome.receipts += [result.receipt for result in found if result.receipt is not None]
            outcome.calls += [("send", None if result.error is None else type(result.error)) for result in found[:-1]]
            yield "send", found[-1].error
        else:
            for mail in self.mails.mails:
                error = await _error_of(client.send(self._mailing(mail)))
                receipt = client.last_receipt if error is None else error.receipt
                assert receipt is not None
                assert error is None or error.delivery is receipt.delivery
                outcome.receipts.append(receipt)
                yield "send", error
        if "QUIT" in self.mails.asked:
            yield "quit", await _error_of(client.quit())

    def _mailing(self, mail: Mail) -> Mailing:
        body = b"".join(mail.body)
        return Mailing(
            _interrupted(body) if self.mails.is_interrupted else body,
            sender=str(mail.sender) if mail.sender else "",
            recipients=[str(recipient) for recipient in mail.recipients],
            on_refused=mail.on_refused,
            use_chunking=mail.chunking,
        )

    # What must come of it

    def _judge(self, outcome: _Outcome, said: int, where: object) -> None:
        assert outcome.calls == list(self._expected(said)), where
        assert len(outcome.receipts) == sum(name == "send" for name, _ in outcome.calls), where
        for receipt, mail, due in zip(outcome.receipts, self.mails.mails, self._words(said), strict=False):
            assert [entry.delivery for entry in receipt.recipients] == due, where
            assert receipt.delivery is word_for(due, all_or_nothing=mail.on_refused == "abort"), where

    def _words(self, said: int) -> list[list[Delivery]]:
        # What can be known of each recipient of each mail.
        is_lmtp, mails = self.mails.is_lmtp, self.mails.mails
        accounts = accounts_of(self.said_before(said), self._server[: min(said, self._sense)], lmtp=is_lmtp)
        words = [
            words_for(account, len(mail.recipients), lmtp=is_lmtp)
            for account, mail in zip(accounts, mails, strict=False)
        ]
        return words + [[Delivery.NOT_SENT] * len(mail.recipients) for mail in mails[len(words) :]]

    def _expected(self, said: int) -> Iterator[tuple[str, Kind]]:
        # The calls that are made, and the errors, where the server has said so many octets.
        codes = [answer.code for answer in self._answers if answer.end <= said]
        is_lost = False
        for call in self._calls:
            told = [(verb, codes[place]) for place, verb in call.asked if place < len(codes)]
            awaited = [verb for place, verb in call.asked if place >= len(codes)]
            if self._is_in_a_row and call.name == "send":
                yield call.name, self._end_in_a_row(call, told, awaited, said)
                is_lost = is_lost or bool(awaited)
                continue
            if is_lost:
                return
            # Who takes leave is told nothing; RSET behind a mail only puts the session in order.
            is_told = not awaited or call.name == "quit" or awaited[0] == "RSET"
            yield call.name, self._refusal(call, told) if is_told else self._loss(awaited[0], said)
            is_lost = bool(awaited) or self._is_end(call, told)
            if is_lost and call.name == "connect":
                return

    def _end_in_a_row(self, call: "_Call", told: list[tuple[str, int]], awaited: list[str], said: int) -> Kind:
        words = self._words(said)[self._number(call)]
        if awaited and Delivery.NOT_SENT in words:
            return ConnectionFailed  # it is tried again, and nobody is there
        return ConnectionLost if awaited and Delivery.UNKNOWN in words else self._refusal(call, told)

    def _name_calls(self) -> Iterator["_Call"]:
        call = _Call("connect")
        for place, verb in enumerate(self.mails.asked):
            if verb == "MAIL" or verb == "QUIT" or (verb == "AUTH" and self._logs_in_itself):
                yield call
                call = _Call({"MAIL": "send", "QUIT": "quit", "AUTH": "login"}[verb])
            call.asked.append((place, verb))
        yield call

    def _number(self, call: "_Call") -> int:
        # Of the mail that the call sends.
        return sum(each.name == "send" for each in self._calls[: self._calls.index(call)])

    def _loss(self, awaited: str, said: int) -> Kind:
        if self._nonsense is not None and said >= self._nonsense:
            return RemoteProtocolError
        # Who hangs up on EHLO is asked once more, with HELO, where that is safe; and nobody is there.
        greeting = self._answers[0].end if self._answers else None
        wants_more = self.mails.starttls or (self.mails.mechanism and not self._logs_in_itself)
        return ConnectionFailed if awaited == "EHLO" and said == greeting and not wants_more else ConnectionLost

    def _is_end(self, call: "_Call", told: list[tuple[str, int]]) -> bool:
        # Whether the client is not connected any more, though it was told everything.
        if call.name == "connect":
            return self._refusal(call, told) is not None
        return call.name == "quit" or (call.name == "login" and self._is_cancelled) or told[-1][1] == 421

    def _refusal(self, call: "_Call", told: list[tuple[str, int]]) -> Kind:
        # The error for the first thing that was refused and is more than one recipient of several.
        if call.name == "send":
            return self._refusal_of_mail(call, told)
        kinds = {"(the": ReplyError, "STARTTLS": TLSFailed, "AUTH": AuthenticationFailed}
        return next((kinds[verb] for verb, code in told if code >= 400 and verb in kinds), None)

    def _refusal_of_mail(self, call: "_Call", told: list[tuple[str, int]]) -> Kind:
        mail = self.mails.mails[self._number(call)]
        codes: dict[str, list[int]] = {}
        for verb, code in told:
            codes.setdefault(verb, []).append(code)
        named, data = codes.get("RCPT", []), codes.get("DATA", [])
        verdicts = codes.get(".", codes.get("BDAT", []))
        if any(code >= 400 for code in codes.get("MAIL", [])):
            return SenderRefused
        if 421 in named:
            return ServiceNotAvailable
        refused = [code >= 400 for code in named]
        if len(refused) == len(mail.recipients) and (all(refused) or (any(refused) and mail.on_refused == "abort")):
            return RecipientsRefused
        if any(code >= 400 for code in data) or (verdicts and all(code >= 400 for code in verdicts)):
            return DataRefused
        return None

    def _find_departure(self) -> int | None:
        # Where the client goes without a word, though the transcript has another that takes leave.
        for verb, answer in zip(self.mails.asked, self._answers, strict=False):
            is_end = verb in ("(the", "STARTTLS") or (verb == "AUTH" and self._is_cancelled)
            if is_end and answer.code >= 400:
                return answer.end
        return None


@dataclass
class _Call:
    # name: connect, login, send or quit. asked: what it asks, by its first word and its place among all.
    name: str
    asked: list[tuple[int, str]] = field(default_factory=list)


async def _error_of(call: Awaitable[object]) -> MailwireError | None:
    try:
        await call
    except MailwireError as error:
        return error
    return None


async def _interrupted(body: bytes) -> AsyncIterator[bytes]:
    yield body
    await asyncio.Event().wait()
