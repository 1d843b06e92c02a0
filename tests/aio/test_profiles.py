"""Each profile of a real server, and what a run over its maildrop comes to: list, preview, retrieve, delete, commit.

What comes of it is a table (`RUNS`). Whatever the server, it holds that what the client says of a message is so on the
server, or it says that it does not know; and that nothing is deleted that was not retrieved to its end.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mailwire import (
    AuthenticationFailed,
    CommitReport,
    ConnectionLost,
    DeadlineExceeded,
    Desynchronised,
    Endpoint,
    MailwireError,
    NotSupported,
    OAuthToken,
    Password,
    POP3Client,
    POP3Settings,
)
from mailwire.pop3 import Entry, FindingKind, Quirks
from mailwire.testing import QUIRKS, STANDARD, Account, MailServer, Policy
from tests.clock import Clock

PASSWORD = Password("bob", "secret")
TOKEN = OAuthToken("bob", "token")
BOB = Account("bob", "secret", access_tokens=("token",))

# What servers stumble over: dots, octets beyond ASCII, long lines, nothing at all.
DOTS = b"Subject: dots\r\n\r\n..\r\n...\r\n.x\r\nx.\r\n"
OCTETS = b"Subject: 8 bits\r\n\r\n" + bytes(range(128, 256)) * 2 + b"\r\n"
LONG = b"Subject: a long line\r\n\r\n" + b"x" * 100_000 + b"\r\n"
LONE = b"Subject: a lone dot\r\n\r\n.\r\nbehind it\r\n"
MAIL = (DOTS, OCTETS, LONG, b"", LONE)
ALL = (1, 2, 3, 4, 5)
SETTINGS = POP3Settings()

# Seconds, more than the client waits for anything.
PATIENCE = 1000

NO_UIDL = frozenset({FindingKind.NO_UIDL})


@dataclass(frozen=True)
class Outcome:
    """What a run comes to. Messages are named by their places in the maildrop, counted from 1.

    whole: those that come octet for octet.
    others: those of which something else comes and is taken for whole: what cannot be told.
    broken_off: of the one in which the run ends, what had come by then.
    refused: those that do not come, and what the server says.
    findings: what is wrong with the listing.
    preview: what comes of TOP of the third message, or this error; None for its header and one line.
    error: what ends the run.
    stands_still: a deadline passes before that.
    committed, unknown: what is known of those that were to be deleted, in the end...
    kept, gone: ...and, where anything is unknown, behind the next listing.
    unsettled: ...and those of which it does not tell either.
    left: those that are there for the next session.
    sessions: how many it takes.
    """

    whole: tuple[int, ...] = ALL
    others: Mapping[int, bytes] = field(default_factory=dict)
    broken_off: Mapping[int, bytes] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    findings: frozenset[FindingKind] = frozenset()
    preview: bytes | type[MailwireError] | None = None
    error: type[MailwireError] | None = None
    stands_still: bool = False
    committed: tuple[int, ...] = ALL
    unknown: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    unsettled: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    sessions: int = 1


@dataclass
class Run:
    """A run as a careful program does it: it deletes what it has retrieved, and leaves what came empty, though it is
    said to have a size."""

    client: POP3Client
    awaited: int  # octets of messages that come, after which something else happens
    have_come: asyncio.Event = field(default_factory=asyncio.Event)
    got: dict[int, bytes] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    findings: frozenset[FindingKind] = frozenset()
    preview: bytes | type[MailwireError] = b""
    error: MailwireError | None = None
    report: CommitReport = field(default_factory=CommitReport)

    async def perform(self) -> None:
        try:
            await self.client.connect()
            listing = await self.client.listing()
            self.findings = frozenset(listing.finding_counts)
            try:
                self.preview = await self.client.top(listing[2], 1, limit=10**6)
            except NotSupported:
                self.preview = NotSupported
            async for item in self.client.retrieve(listing):
                number = item.entry.number
                if item.error is not None:
                    self.refused[number] = str(item.refusal)
                    continue
                self.got[number] = b""
                async for block in item:
                    self.got[number] += block
                    if sum(map(len, self.got.values())) >= self.awaited:
                        self.have_come.set()
                self.ended.append(number)
            await self.client.delete(
                [
                    entry
                    for entry in listing
                    if entry.number in self.ended and (self.got[entry.number] or not entry.size)
                ]
            )
            self.report = await self.client.commit()
        except MailwireError as error:
            self.error = error
            self.report = self.client.last_commit or CommitReport()


# name of the quirk and of the row, settings of the endpoint and of the client, the mail, what it comes to, and by how
# many octets more each message is announced
Row = tuple[str, str, Mapping[str, Any], POP3Settings, Sequence[bytes], Outcome, int]


def row(
    quirk: str,
    outcome: Outcome,
    *,
    when: str = "",
    settings: POP3Settings = SETTINGS,
    mail: Sequence[bytes] = MAIL,
    surplus: int = 0,
    **endpoint: Any,
) -> Row:
    return quirk, when, endpoint, settings, mail, outcome, surplus


SMALL = [b"Subject: %d\r\n\r\n" % number for number in range(260)]
LARGE = b"Subject: large\r\n\r\n" + b"x" * (20 * 1024 * 1024) + b"\r\n"

RUNS: list[Row] = [
    row("standard", Outcome()),
    # Its responses to RETR announce too little, and its dots come alone.
    row("argosoft", Outcome()),
    row("split-dot", Outcome()),
    # What was retrieved is not shown to the next session, deleted or not; 250 messages are shown at a time.
    row("gmail", Outcome()),
    row(
        "gmail",
        Outcome(tuple(range(1, 251)), committed=tuple(range(1, 251)), left=tuple(range(251, 261))),
        when="with many messages",
        mail=SMALL,
    ),
    row(
        "gmail",
        Outcome((1, 2, 3), error=ConnectionLost, committed=(), unknown=(1, 2, 3), unsettled=(1, 2, 3), sessions=2),
        when="with a large message",
        mail=(DOTS, LARGE, DOTS),
    ),
    # The second message comes empty, the third does not end. One by one nothing else can be taken for that end...
    row(
        "exchange",
        Outcome(
            (1,),
            others={2: b""},
            broken_off={3: LONG.removesuffix(b"\r\n") + b".\r\n"},
            error=DeadlineExceeded,
            committed=(),
            left=ALL,
        ),
        when="asked one by one",
        pipelining=False,
    ),
    # ...but it comes to the end of the next, where that follows. The one behind it would be taken for that one: what
    # may have swallowed an answer is not called whole before all that was asked for is answered, and it never is.
    row(
        "exchange",
        Outcome(
            (1,),
            others={2: b""},
            broken_off={3: LONG.removesuffix(b"\r\n") + b".\r\n+OK 0 octets\r\n"},
            error=Desynchronised,
            stands_still=True,
            committed=(),
            left=ALL,
        ),
    ),
    # An empty line answers DELE of the second message: what became of them is known when the next session lists.
    row(
        "office365",
        Outcome(error=Desynchronised, committed=(), unknown=(1, 2), kept=ALL, left=ALL, sessions=2),
        auth=TOKEN,
    ),
    row(
        "office365",
        Outcome(error=Desynchronised, committed=(), unknown=(1, 2), kept=ALL, left=ALL, sessions=2),
        when="with a password",
    ),
    # The empty line stands in the place of the answer: it never comes, and the deadline tells.
    row(
        "office365",
        Outcome(error=DeadlineExceeded, committed=(), unknown=(1, 2), kept=ALL, left=ALL, sessions=2),
        when="with the empty line forgiven",
        settings=POP3Settings(quirks=Quirks(blank_lines=True)),
    ),
    row(
        "office365",
        Outcome((), preview=b"", error=AuthenticationFailed, committed=(), left=ALL),
        when="with an initial response all the same",
        settings=POP3Settings(initial_response=True),
    ),
    # The second message is not to be had, and behind three of them none is.
    row(
        "163",
        Outcome(
            (1, 3, 4),
            refused={2: "-ERR Can't get the letter, try again later", 5: "-ERR Download exceed"},
            committed=(1, 3, 4),
            left=(2, 5),
        ),
    ),
    # More than 2 GiB: STAT tells a negative number of octets. (The fourth comes empty, though it has a size then.)
    row(
        "163",
        Outcome(
            (1, 3, 4),
            refused={2: "-ERR Can't get the letter, try again later", 5: "-ERR Download exceed"},
            findings=frozenset({FindingKind.BAD_OCTETS}),
            committed=(1, 3),
            left=(2, 4, 5),
        ),
        when="with much mail",
        surplus=2**29,
    ),
    row("jpop", Outcome(findings=NO_UIDL)),
    row("jpop", Outcome(), when="with UIDL said all the same", settings=POP3Settings(probes=["UIDL"])),
    row("maillennium", Outcome(findings=frozenset({FindingKind.SPACING}), preview=LONG[: 64 * 1024] + b"\r\n")),
    # TOP is not announced, and answered with two lines where one is due: the second may be another answer.
    row("km.ru", Outcome(preview=NotSupported)),
    row(
        "km.ru",
        Outcome((), preview=b"", error=Desynchronised, committed=(), left=ALL),
        when="with TOP said all the same",
        settings=POP3Settings(probes=["TOP"]),
    ),
    row(
        "km.ru",
        Outcome(),
        when="with the second status line forgiven",
        settings=POP3Settings(probes=["TOP"], quirks=Quirks(second_status=True)),
    ),
    # It hangs up on pipelined commands; what is unanswered is asked for again, one by one.
    row("o2", Outcome(sessions=2)),
    row("o2", Outcome(), when="asked one by one", pipelining=False),
    row(
        "bare-lf",
        Outcome(
            (4,),
            others={place: message.replace(b"\r\n", b"\n") for place, message in enumerate(MAIL, 1) if message},
            preview=LONG.replace(b"\r\n", b"\n"),
        ),
    ),
    # Of two dots one is taken for the other's double; a lone dot is the end, and what follows it gives it away.
    row(
        "unstuffed",
        Outcome(
            (2, 3, 4),
            others={1: DOTS.replace(b"\r\n..", b"\r\n."), 5: LONE.partition(b".\r\n")[0]},
            error=Desynchronised,
            committed=(),
            left=ALL,
        ),
    ),
    row(
        "unstuffed",
        Outcome((2, 3, 4, 5), others={1: DOTS.replace(b"\r\n..", b"\r\n.")}),
        when="without a lone dot",
        mail=(*MAIL[:4], DOTS.replace(b"..", b"x")),
    ),
    row("no-uidl", Outcome(findings=NO_UIDL)),
    row("no-capa", Outcome()),
]


DOCUMENTATION = Path(__file__).parents[2] / "docs" / "howto" / "broken-servers.md"


def test_every_profile_has_a_run_and_is_documented() -> None:
    assert {quirk for quirk, *_ in RUNS} == {"standard", *QUIRKS}
    table = DOCUMENTATION.read_text(encoding="utf-8").partition("| profile |")[2]
    assert re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE) == list(QUIRKS)


@pytest.mark.parametrize(
    ("quirk", "endpoint", "settings", "mail", "outcome", "surplus"),
    [pytest.param(quirk, *rest, id=f"{quirk} {when}".rstrip()) for quirk, when, *rest in RUNS],
)
async def test_a_run_over_a_maildrop_comes_to_what_can_be_had(
    quirk: str,
    endpoint: Mapping[str, Any],
    settings: POP3Settings,
    mail: Sequence[bytes],
    outcome: Outcome,
    surplus: int,
) -> None:
    policy = Policy(mechanisms=("XOAUTH2",)) if endpoint.get("auth") is TOKEN else Policy()
    profile = STANDARD if quirk == "standard" else QUIRKS[quirk]
    if surplus:
        profile = replace(profile, pop3=replace(profile.pop3, list_surplus=surplus))
    async with MailServer([BOB], policy=policy, quirk=profile) as server:
        uids = {f"u{place}": place for place, _ in enumerate(mail, 1)}
        for uid, message in zip(uids, mail, strict=True):
            server.maildrop.put("bob", message, uid=uid)
        chosen: dict[str, Any] = {"auth": PASSWORD, "allow_cleartext_auth": True, **endpoint}
        client = POP3Client(Endpoint("127.0.0.1", server.pop3_port, "pop3", "none", **chosen), settings=settings)
        whole = sum(len(mail[number - 1]) for number in outcome.whole)
        run = Run(client, whole + sum(map(len, (*outcome.others.values(), *outcome.broken_off.values()))))
        await perform(run, outcome)

        assert type(run.error) is (outcome.error or type(None)), repr(run.error)
        retrieved = tuple(number for number in run.ended if run.got[number] == mail[number - 1])
        others = {number: run.got[number] for number in run.ended if number not in retrieved}
        broken_off = {number: octets for number, octets in run.got.items() if number not in run.ended}
        assert retrieved == outcome.whole
        assert others == outcome.others
        assert broken_off == outcome.broken_off
        assert run.refused == outcome.refused
        assert run.findings == outcome.findings
        assert run.preview == (beginning_of(mail[2]) if outcome.preview is None else outcome.preview)
        await server.wait_idle()
        assert numbers_of(run.report.committed) == outcome.committed
        assert numbers_of(run.report.unknown) == outcome.unknown
        # What was never said to be deleted is known to be there.
        assert numbers_of(run.report.kept) == tuple(n for n in outcome.kept if n not in outcome.unknown)

        # What was said to be deleted is, and what was never retrieved is there.
        left = left_on(server, uids)
        assert left == outcome.left
        assert not set(left) & set(outcome.committed)
        assert set(uids.values()) - set(left) <= set(run.ended)

        if run.report.unknown:
            await client.connect()
            await client.listing()
            report = client.last_commit
            assert report is not None
            assert numbers_of(report.unknown) == outcome.unsettled
            assert (tuple(sorted(numbers_of(report.kept))), numbers_of(report.committed)) == (
                outcome.kept,
                outcome.gone,
            )
            await client.quit()
            await server.wait_idle()
            assert left_on(server, uids) == outcome.left
        assert len(server.pop3_sessions) == outcome.sessions


async def perform(run: Run, outcome: Outcome) -> None:
    """Perform `run`; where it comes to a standstill, let the deadline pass."""
    clock = Clock() if outcome.stands_still or outcome.error is DeadlineExceeded else None
    task = asyncio.create_task(run.perform())
    if clock is not None:
        coming = asyncio.create_task(run.have_come.wait())
        await asyncio.wait([task, coming], return_when=asyncio.FIRST_COMPLETED)
        coming.cancel()
        await clock.advance(PATIENCE)
    await task


def left_on(server: MailServer, uids: Mapping[str, int]) -> tuple[int, ...]:
    """What the next session would be shown."""
    opened = server.maildrop.open("bob")
    assert opened is not None, "a session is left open"
    opened.release()
    return tuple(uids[message.uid] for message in opened.remaining.values())


def numbers_of(entries: Sequence[Entry]) -> tuple[int, ...]:
    return tuple(entry.number for entry in entries)


def beginning_of(message: bytes) -> bytes:
    """The header of a message and the first line of its body."""
    header, end, body = message.partition(b"\r\n\r\n")
    return header + end + b"".join(body.partition(b"\r\n")[:2])
