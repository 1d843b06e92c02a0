"""What mailwire's own client makes of a POP3 transcript on a socket, and what must come of each of its calls.

The calls are read from the transcript. What a client says by itself until the maildrop is open, belongs to `connect`;
a login that is not of that form is said by `execute`. Behind it STAT, LIST and UIDL in a row are a listing, RETR in a
row a retrieval, and DELE in a row a deletion, where there was a listing before. What must come of them is read from the
octets alone: which messages are whole, and which are deleted, refused or unknown.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailwire import (
    AuthenticationFailed,
    CommitReport,
    ConnectionLost,
    MaildropLocked,
    MailwireError,
    MessageTruncated,
    POP3Client,
    POP3Settings,
    RemoteProtocolError,
    ResponseError,
    TLSFailed,
)
from mailwire.pop3 import Entry
from mailwire.testing import ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.replay import Transcript, Turn
from tests.transcripts.calls import Calls
from tests.transcripts.places import Way
from tests.transcripts.pop3_story import Answer, POP3Story
from tests.transcripts.story import Story

__all__ = ["POP3Calls"]


Kind = type[MailwireError] | None
Told = tuple[str, object, Kind]


@dataclass
class _Outcome:
    # The calls that were made, each with what came of it and its error; what is known of the marks; what was heard.

    calls: list[Told] = field(default_factory=list)
    marks: tuple[list[int], list[int], list[int]] = ([], [], [])  # committed, refused, unknown
    heard: bytes = b""


@dataclass(frozen=True)
class _Call:
    # name: of the method. places: which of the client's lines it says.
    name: str
    places: tuple[int, ...]


class POP3Calls(Calls[_Outcome]):
    """Those of a POP3 client."""

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        self._whole = POP3Story(story)
        self._lines = self._whole.lines
        self._verbs = [line.split(" ")[0] for line in self._lines]
        self._asks_capabilities = self._verbs[:1] == ["CAPA"]
        self._logs_in_itself = False
        self._calls = list(self._name_calls())
        self._departure = self._find_departure()

    @property
    def is_starttls(self) -> bool:
        return "STLS" in self._verbs

    # What the calls are

    def _name_calls(self) -> Iterator[_Call]:
        begin = self._end_of_connect()
        yield _Call("connect", tuple(range(begin)))
        has_listing = False
        while begin < len(self._lines):
            name, count = self._next_call(begin, has_listing)
            yield _Call(name, tuple(range(begin, begin + count)))
            has_listing = has_listing or name == "listing"
            begin += count
        if self.story.transcript.turns[-1].closes and len(self._whole.answers) > len(self._lines):
            yield _Call("NOOP", ())  # by which the client learns of the end

    def _next_call(self, begin: int, has_listing: bool) -> tuple[str, int]:
        verb = self._verbs[begin]
        for lines in (["STAT", "LIST", "UIDL"], ["STAT", "LIST"]):
            if self._lines[begin : begin + len(lines)] == lines:
                return "listing", len(lines)
        if verb == "RETR" or (verb == "DELE" and has_listing):
            count = next((place for place, each in enumerate(self._verbs[begin:]) if each != verb), None)
            return verb, len(self._lines) - begin if count is None else count
        return verb, 1

    def _end_of_connect(self) -> int:
        verbs, answers = self._verbs, self._whole.answers
        place = int(self._asks_capabilities)
        if verbs[place : place + 1] == ["STLS"]:
            place += 1
            if not answers[place].is_ok:
                return place
            place += self._asks_capabilities
        size = {"USER": 2, "AUTH": 1}.get("".join(verbs[place : place + 1]), 0)
        if size and (len(answers) <= place + 1 or not answers[place + 1].is_ok):
            size = 1  # a user who is refused has no password
        knows_capa = self._asks_capabilities and answers[1].is_ok
        behind = verbs[place + size : place + size + 1]
        self._logs_in_itself = not size or (behind != ["CAPA"] if knows_capa else verbs[place] == "AUTH")
        return place if self._logs_in_itself else place + size + knows_capa

    # Playing

    async def _play(self, script: tuple[Step, ...], is_encrypted: bool, way: Way) -> _Outcome:
        # Up to the call with which the connection is lost.
        outcome = _Outcome()
        tls = "implicit" if is_encrypted else "starttls" if self.is_starttls else "none"
        async with ScriptedPeer(*script, lenient=way.is_cut) as peer:
            endpoint = peer.endpoint(
                protocol="pop3",
                connect=way.to(peer),
                tls_context=way.context if tls != "none" else None,
                tls=tls,
                auth=None if self._logs_in_itself else self._whole.credentials,
                allow_cleartext_auth=True,
            )
            settings = POP3Settings(
                asks_capabilities=self._asks_capabilities,
                probes=None if self._knows_capa else {"UIDL", "TOP"} & set(self._verbs),
            )
            client = POP3Client(endpoint, settings=settings)
            entries: dict[int, Entry] = {}
            try:
                for call in self._calls:
                    value = _Value()
                    error: Kind = None
                    try:
                        await self._make(call, client, entries, value)
                    except MailwireError as caught:
                        error = type(caught)
                    outcome.calls.append((call.name, value.told, error))
                    if not client.is_connected:
                        break
            finally:
                client.abort()
            report = client.last_commit or CommitReport()
            outcome.marks = _numbers(report.committed), _numbers(report.refused), _numbers(report.unknown)
        await way.closed()
        outcome.heard = bytes(peer.heard)
        return outcome

    async def _make(self, call: _Call, client: POP3Client, entries: dict[int, Entry], value: "_Value") -> None:
        lines = [self._lines[place] for place in call.places]
        numbers = [int(word) for line in lines for word in line.split(" ")[1:2] if word.isdigit()]
        match call.name:
            case "connect":
                await client.connect()
            case "listing":
                listing = await client.listing()
                entries.update((entry.number, entry) for entry in listing)
                value.told = [(entry.number, entry.size, entry.uid) for entry in listing]
            case "RETR":
                value.told = told = []
                items = client.retrieve([entries[number] for number in numbers])
                # One by one: those before it stay where one fails.
                while (item := await anext(items, None)) is not None:
                    told.append("refused" if item.error is not None else _lines(await item.read()))
            case "DELE" if entries:
                report = await client.delete([entries[number] for number in numbers])
                value.told = (_numbers(report.marked), _numbers(report.refused))
            case "TOP":
                value.told = _lines(await client.top(entries[numbers[0]], int(lines[0].split(" ")[2])))
            case "LIST":
                value.told = _texts(await client.list(*numbers))
            case "UIDL":
                value.told = _texts(await client.uidl(*numbers))
            case "LANG":
                value.told = _texts(await client.lang(*lines[0].split(" ")[1:]))
            case "STAT":
                drop = await client.stat()
                value.told = [drop.count, drop.octets]
            case "RSET":
                await client.rollback()
            case "LAST":
                value.told = [await client.last()]
            case "NOOP":
                await drain_events()  # if the server goes, it has gone
                await client.noop()
            case "QUIT":
                await client.commit()
            case _:
                await client.execute(self._whole.command(lines[0]))

    # What must come of it

    def _judge(self, outcome: _Outcome, said: int, where: object) -> None:
        story = POP3Story(self.story, Transcript((Turn(self.said_before(said), (self._server[:said],)),)))
        assert outcome.calls == list(self._expected(story)), where
        assert outcome.marks == _marks_in(story), where

    def _expected(self, story: POP3Story) -> Iterator[Told]:
        answers, has_listing, is_left_open = story.answers, False, False
        for call in self._calls:
            asked = (-1, *call.places) if call.name == "connect" else call.places
            found = [answers[place + 1] if place + 1 < len(answers) else None for place in asked]
            told = [answer for answer in found if answer is not None and answer.is_whole]
            has_listing = has_listing or call.name == "listing"
            error: Kind = MessageTruncated if is_left_open and call.name != "QUIT" else None
            is_over = call.name == "QUIT" or is_left_open
            if call.name == "TOP" and found[0] is not None and self._is_enough(call, found[0]):
                # The client has what it asked for, and the next call finds that the rest does not come.
                told, is_left_open = [found[0]], not told
            elif call.name == "connect":
                verbs = ["", *(self._verbs[place] for place in call.places)]
                error = next(filter(None, map(_refusal, verbs, told)), None)
                is_over = error is not None
            elif (
                error is None
                and call.name not in ("listing", "RETR", "QUIT")
                and not (call.name == "DELE" and has_listing)
            ):
                error = next((_refusal(call.name, answer) for answer in told), None)
                is_over = error is not None and self._is_cancelled
            if error is None and not is_over and (not found or len(told) < len(found)):
                partial = found[len(told)] if found else None
                in_message = partial is not None and call.name in ("RETR", "TOP")
                error, is_over = (MessageTruncated if in_message else ConnectionLost), True
                error = RemoteProtocolError if story.is_nonsense else error
            yield call.name, self._value(call, told, error, has_listing), error
            if is_over:
                return

    def _is_enough(self, call: _Call, answer: Answer) -> bool:
        # Whether the header has come, and as many lines behind it as were wanted.
        wanted = int(self._lines[call.places[0]].split(" ")[2])
        body = answer.body or []
        return answer.is_ok and b"" in body and len(body) > body.index(b"") + wanted

    def _value(self, call: _Call, told: list[Answer], error: Kind, has_listing: bool) -> object:
        numbers = [int(self._lines[place].split(" ")[1]) for place in call.places if call.name in ("RETR", "DELE")]
        if call.name == "RETR":
            return [answer.body if answer.is_ok else "refused" for answer in told]
        if error is not None:
            return None
        if call.name == "DELE" and has_listing:
            marks = [
                [number for number, answer in zip(numbers, told, strict=True) if answer.is_ok is is_ok]
                for is_ok in (True, False)
            ]
            return tuple(marks)
        if call.name == "listing":
            sizes, uids = (_columns(answer) for answer in (*told[1:], Answer(b"-ERR"))[:2])
            numbers = sorted({*sizes, *uids})
            return [(number, int(sizes.get(number, "0")), uids.get(number)) for number in numbers]
        if call.name in ("STAT", "LAST"):
            return [int(word) for word in told[0].status.split()[1 : {"STAT": 3, "LAST": 2}[call.name]]]
        if call.name in ("LIST", "UIDL", "LANG"):
            answer = told[0]
            return answer.status.split(b" ", 1)[1:] if answer.body is None else answer.body
        return told[0].body if call.name == "TOP" else None

    @property
    def _is_cancelled(self) -> bool:
        return b"\r\n*\r\n" in self.story.transcript.client

    @property
    def _knows_capa(self) -> bool:
        return self._asks_capabilities and self._whole.answers[1].is_ok

    def _find_departure(self) -> int | None:
        # Where the client goes without a word, though the transcript has another that takes leave.
        server = self._server
        for said in (place for place in range(1, len(server) + 1) if server[place - 1 : place] == b"\n"):
            story = POP3Story(self.story, Transcript((Turn(self.story.transcript.client, (server[:said],)),)))
            *_, (name, _, error) = self._expected(story)
            if error not in (None, ConnectionLost, MessageTruncated, RemoteProtocolError) and (
                name == "connect" or self._is_cancelled
            ):
                return said
        return None


@dataclass
class _Value:
    # What a call has come to, also one that fails.
    told: object = None


def _refusal(verb: str, answer: Answer) -> Kind:
    if answer.is_ok or verb == "CAPA":
        return None
    if verb == "STLS":
        return TLSFailed
    if verb in ("USER", "PASS", "AUTH") and b"[SYS/" not in answer.status:
        return MaildropLocked if b"[IN-USE]" in answer.status.upper() else AuthenticationFailed
    return ResponseError


def _marks_in(story: POP3Story) -> tuple[list[int], list[int], list[int]]:
    # What is deleted, what is refused, and what is deleted or not.
    marked: list[int] = []
    refused: list[int] = []
    unanswered: list[int] = []
    is_committed = False
    for place, line in enumerate(story.lines, 1):
        answer = story.answers[place] if place < len(story.answers) else None
        if line.startswith("DELE "):
            (unanswered if answer is None else marked if answer.is_ok else refused).append(int(line[5:]))
        elif answer is not None and answer.is_ok:
            marked, refused = ([], []) if line == "RSET" else (marked, refused)
            is_committed = line == "QUIT"
    return (marked, refused, []) if is_committed else ([], refused, marked + unanswered)


def _numbers(entries: Iterable[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def _columns(answer: Answer) -> dict[int, str]:
    # What stands behind each number of a listing.
    words = [line.decode().split() for line in answer.body or ()]
    return {int(number): told for number, told, *_ in words}


def _lines(message: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in message.split(b"\n")[:-1]]


def _texts(mapping: Mapping[Any, object]) -> list[bytes]:
    return [f"{key} {value}".strip().encode() for key, value in mapping.items()]
