import asyncio
import base64

import pytest

import mailwire
from mailwire import (
    ConnectionLost,
    Entry,
    FindingKind,
    LimitExceeded,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    POP3Settings,
    RemoteProtocolError,
    ResponseError,
    SecurityError,
    Transcript,
)
from mailwire.pop3 import Capa, Dele, DropListing, List, Noop, Pass, Response, Retr, Stat, Stls, Top, Uidl
from mailwire.testing import (
    CLOSE,
    LISTEN,
    NO_READING,
    PACKET,
    STALL,
    Answers,
    ScriptedPeer,
    Step,
)
from tests.aio.dialogues import (
    CREDENTIALS,
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_GREETED,
    POP3_QUIT,
    TWO_MESSAGES,
    announced,
    capabilities,
    once,
)
from tests.aio.pop3_clients import ONE, THREE, TWO, client_for, connect, everything
from tests.aio.test_replay import client_of
from tests.clock import Clock

PLAIN = base64.b64encode(f"\0{CREDENTIALS.user}\0{CREDENTIALS.password}".encode()).decode()
STLS: tuple[Step, ...] = (*capabilities("STLS"), "C: STLS", "S: +OK go")


# Listing

STAT: tuple[Step, ...] = ("C: STAT", "S: +OK 2 14")
UIDS: tuple[Step, ...] = ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: .")


async def test_a_listing_joins_stat_list_and_uidl() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *POP3_QUIT) as peer, client_for(peer) as client:
        listing = await client.listing()
        assert list(listing) == [ONE, TWO]
        assert listing.findings == ()
        assert listing.octets == 14


async def test_stat_list_and_uidl_go_together_where_the_server_pipelines() -> None:
    async with ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, *POP3_QUIT) as peer, client_for(peer) as client:
        assert list(await client.listing()) == [ONE, TWO, THREE]


async def test_a_server_without_uidl_gives_entries_without_a_uid() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED[:7], "C: UIDL", "S: -ERR what", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        listing = await client.listing()
        assert list(listing) == [Entry(1, None, 7), Entry(2, None, 7)]
        assert [finding.kind for finding in listing.findings] == [FindingKind.NO_UIDL]


@pytest.mark.parametrize("probes", [None, (), ("TOP",)])
async def test_uidl_is_not_said_to_a_server_that_does_not_announce_it(probes: tuple[str, ...] | None) -> None:
    async with ScriptedPeer(*capabilities("USER"), *LOGIN, *announced("USER"), *LISTED[:7], *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(probes=probes))
        assert list(await client.listing()) == [Entry(1, None, 7), Entry(2, None, 7)]
        with pytest.raises(NotSupported, match="does not announce UIDL") as caught:
            await client.uidl()
        assert caught.value.extension == "UIDL"
        await client.quit()


async def test_uidl_can_be_probed() -> None:
    async with ScriptedPeer(*capabilities("USER"), *LOGIN, *announced("USER"), *LISTED, *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(probes=["UIDL"]))
        assert list(await client.listing()) == [ONE, TWO]
        await client.quit()


async def test_uidl_need_not_be_probed() -> None:
    async with ScriptedPeer(*OPENED, *LISTED[:7], *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(probes=()))
        assert [entry.uid for entry in await client.listing()] == [None, None]
        await client.quit()


async def test_a_message_that_uidl_tells_badly_is_asked_about_again() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *LISTED[:7], "C: UIDL", "S: +OK", "S: 1", "S: 2 u2", "S: ."),
            *("C: UIDL 1", "S: +OK 1 u1", "C: NOOP", "S: +OK", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        assert list(await client.listing()) == [ONE, TWO]


@pytest.mark.parametrize(("left_out", "is_asked"), [(100, True), (101, False)])
async def test_as_many_messages_are_asked_about_again_as_takes_no_long_time(left_out: int, is_asked: bool) -> None:
    numbers = range(1, left_out + 1)
    answers = [step for number in numbers for step in (f"C: UIDL {number}", f"S: +OK {number} u{number}")]
    answers += ["C: NOOP", "S: +OK"]
    async with (
        ScriptedPeer(
            *(
                *OPENED,
                "C: STAT",
                f"S: +OK {left_out} 0",
                "C: LIST",
                "S: +OK",
                *(f"S: {number} 7" for number in numbers),
            ),
            *("S: .", "C: UIDL", "S: +OK", "S: .", *(answers if is_asked else ()), *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        listing = await client.listing()
        assert [entry.uid for entry in listing] == [f"u{number}" if is_asked else None for number in numbers]


BADLY_TOLD: tuple[Step, ...] = (*LISTED[:7], "C: UIDL", "S: +OK", "S: 1 u1", "S: 2", "S: .")


async def test_what_was_told_of_a_message_by_itself_is_told_for_the_session() -> None:
    # The last is marked: it is there, and not listed. STAT counts one more than LIST has. While anything is marked, no
    # question is asked that not every server takes well.
    listed: tuple[Step, ...] = ("C: STAT", "S: +OK 3 21", *BADLY_TOLD[2:])
    async with (
        ScriptedPeer(
            *(*OPENED, *BADLY_TOLD, "C: UIDL 2", "S: +OK 2 u2", "C: NOOP", "S: +OK", "C: DELE 3", "S: +OK", *listed),
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        plain = await client.listing()
        await client.execute(Dele(3))
        marked = await client.listing()
        assert list(plain) == list(marked) == [ONE, TWO]
        assert marked.finding_counts == {FindingKind.NO_UID: 1, FindingKind.GAP: 1, FindingKind.UNLISTED: 1}


async def test_a_message_is_not_asked_about_where_anything_is_marked() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: DELE 3", "S: +OK", *BADLY_TOLD, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        await client.execute(Dele(3))
        assert list(await client.listing()) == [ONE, Entry(2, None, 7)]


async def test_a_message_is_not_asked_about_where_there_can_be_no_other_session_before_long() -> None:
    opened = (*capabilities("USER", "UIDL"), *LOGIN, *announced("USER", "UIDL", "LOGIN-DELAY 901"))
    async with ScriptedPeer(*opened, *BADLY_TOLD, *POP3_QUIT) as peer, client_for(peer) as client:
        assert list(await client.listing()) == [ONE, Entry(2, None, 7)]


@pytest.mark.parametrize(
    ("line", "kind"),
    [(f"2 <{'x' * 80}@example.org>", FindingKind.LONG_UID), (b"2 M\xfcller\r\n", FindingKind.BAD_UID)],
)
async def test_what_was_told_and_is_no_unique_id_is_not_asked_for_again(line: str | bytes, kind: FindingKind) -> None:
    told = f"S: {line}" if isinstance(line, str) else line
    async with (
        ScriptedPeer(*OPENED, *LISTED[:7], "C: UIDL", "S: +OK", "S: 1 u1", told, "S: .", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        listing = await client.listing()
        assert list(listing) == [ONE, Entry(2, None, 7)]
        assert listing.finding_counts == {kind: 1}


WHOLE: tuple[Step, ...] = ("S: +OK", "S: 1 u1", "S: 2", "S: .")


@pytest.mark.parametrize(
    "answer",
    [
        ("S: +OK 1 u1", "C: NOOP", "S: +OK"),
        ("S: 2 u2",),
        (CLOSE,),
        ("S: -ERR what", "C: NOOP", CLOSE),
        WHOLE,
        # Its first word would do for a unique id.
        ("S: +OK listing", "S: 1 u1", "S: 2", "S: ."),
        ("S: +OK 2 messages", "C: NOOP", *WHOLE[1:]),
    ],
    ids=["about another", "no status", "hangs up", "refuses and hangs up", "whole", "whole, a word", "whole, a count"],
)
async def test_a_server_that_does_not_take_the_question_about_one_message_well_is_listed_without_it(
    answer: tuple[Step, ...],
) -> None:
    async with (
        ScriptedPeer(*OPENED, *BADLY_TOLD, "C: UIDL 2", *answer, lenient=True) as first,
        ScriptedPeer(*OPENED, *BADLY_TOLD, *BADLY_TOLD, *TWO_MESSAGES, *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        listing = await client.listing()
        assert list(listing) == list(await client.listing()) == [ONE, Entry(2, None, 7)]
        assert await everything(client.retrieve(listing)) == [b"first\r\n", b"other\r\n"]
        await client.quit()


async def test_a_server_that_does_not_answer_about_one_message_is_listed_without_it() -> None:
    clock = Clock()
    async with (
        ScriptedPeer(*OPENED, *BADLY_TOLD, "C: UIDL 2", STALL, guard=None) as first,
        ScriptedPeer(*OPENED, *BADLY_TOLD, *POP3_QUIT, guard=None) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        listing = asyncio.create_task(client.listing())
        await clock.advance(client.endpoint.timeouts.response or 0)
        assert list(await listing) == [ONE, Entry(2, None, 7)]
        await client.quit()


async def test_where_nobody_is_there_any_more_to_be_listed_without_a_question_that_ends_the_session_is_told() -> None:
    async with ScriptedPeer(*OPENED, *BADLY_TOLD, "C: UIDL 2", CLOSE) as peer:
        client = await connect(peer, connect=once(peer))
        with pytest.raises(ConnectionLost, match="instead of answering UIDL 2"):
            await client.listing()
        assert not client.is_connected


@pytest.mark.parametrize(("refused", "findings"), [("STAT", []), ("LIST", [FindingKind.NO_LIST])])
async def test_a_refusal_of_stat_or_list_is_not_read_as_an_answer(refused: str, findings: list[FindingKind]) -> None:
    script = list(LISTED)
    at = script.index(f"C: {refused}") + 1
    script[at : script.index("C: LIST" if refused == "STAT" else "C: UIDL")] = ["S: -ERR 9 999"]
    async with ScriptedPeer(*OPENED, *script, *POP3_QUIT) as peer, client_for(peer) as client:
        listing = await client.listing()
        assert [entry.uid for entry in listing] == ["u1", "u2"]
        assert [finding.kind for finding in listing.findings] == findings


async def test_an_entry_that_is_named_is_the_one_that_is_gone_on_with() -> None:
    # Of a million of them, none is to be there twice.
    async with ScriptedPeer(*OPENED, *LISTED, *POP3_QUIT) as peer, client_for(peer) as client:
        entries = list(await client.listing())
        found = await client._transaction.find(entries, forced=False, sized=True)
        assert all(one is other for one, other in zip(found, entries, strict=True))


async def test_a_message_that_uidl_leaves_out_has_no_uid() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *LISTED[:7], "C: UIDL", "S: +OK", "S: 2 u2", "S: ."),
            *("C: UIDL 1", "S: -ERR no such message", "C: NOOP", "S: -ERR what", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        listing = await client.listing()
        assert list(listing) == [Entry(1, None, 7), TWO]
        assert FindingKind.NOT_IN_UIDL in listing.finding_counts


async def test_so_much_that_uidl_leaves_out_is_no_accident_and_not_asked_about() -> None:
    sizes = b"".join(b"%d 7\r\n" % number for number in range(1, 102))
    async with (
        ScriptedPeer(
            *(*OPENED, *STAT, "C: LIST", b"+OK\r\n", sizes, b".\r\n", "C: UIDL", "S: +OK", "S: .", *POP3_QUIT)
        ) as peer,
        client_for(peer) as client,
    ):
        assert [entry.uid for entry in await client.listing()] == [None] * 101


async def test_a_server_that_pipelines_is_asked_about_many_again() -> None:
    # One is known that glues two entries into one line every few hundred lines.
    numbers = range(1, 151)
    sizes = b"".join(b"%d 7\r\n" % number for number in numbers)
    listed: tuple[Step, ...] = ("S: +OK 150 7", b"+OK\r\n" + sizes + b".\r\n", "S: +OK", "S: .")
    async with ScriptedPeer(
        *(*PIPELINED, "C: STAT", "C: LIST", "C: UIDL", *listed, *(f"C: UIDL {number}" for number in numbers[:100])),
        *(f"S: +OK {number} u{number}" for number in numbers[:100]),
        *(*(f"C: UIDL {number}" for number in numbers[100:]), "C: NOOP"),
        *(*(f"S: +OK {number} u{number}" for number in numbers[100:]), "S: +OK"),
        *POP3_QUIT,
    ) as peer:
        client = await connect(peer)
        assert [entry.uid for entry in await client.listing()] == [f"u{number}" for number in numbers]
        await client.quit()


async def test_an_empty_maildrop_has_an_empty_listing() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, "C: STAT", "S: +OK 0 0", "C: LIST", "S: +OK", "S: .", "C: UIDL", "S: +OK", "S: .", *POP3_QUIT)
        ) as peer,
        client_for(peer) as client,
    ):
        assert list(await client.listing()) == []
        assert await everything(client.retrieve([])) == []


async def test_without_list_nothing_is_known_of_sizes() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: STAT", "S: -ERR no", "C: LIST", "S: -ERR no", *UIDS, *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert list(await client.listing()) == [Entry(1, "u1", 0), Entry(2, "u2", 0)]


async def test_a_refusal_of_list_and_uidl_leaves_the_session_clean() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *STAT, "C: LIST", "S: -ERR no", "C: UIDL", "S: -ERR no", "C: NOOP", "S: +OK", *POP3_QUIT)
        ) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(ResponseError, match="LIST was refused: -ERR no") as caught:
            await client.listing()
        assert caught.value.command == "LIST"
        await client.noop()


@pytest.mark.parametrize(
    "line", ["0 7", "-1 7", "1_0 7", "x", "", "x y", "1" * 5000 + " 7", "\uff11 7", "1 -7", "1", "1 " + "7" * 21]
)
async def test_a_line_that_is_none_spoils_no_more_than_its_entry(line: str) -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, *STAT, "C: LIST", "S: +OK", "S: 1 7", f"S: {line}", "S: 2 7", "S: .", *UIDS), LISTEN
        ) as peer,
    ):
        client = await connect(peer)
        listing = await client.listing()
        assert [entry for entry in listing if entry.number < 3] == [ONE, TWO]
        assert listing.findings
        client.abort()


@pytest.mark.parametrize(
    "listings",
    [
        ("C: LIST", "S: -ERR [SYS/TEMP] busy", *UIDS),
        ("C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: .", "C: UIDL", "S: -ERR [SYS/TEMP] busy"),
        ("C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: .", "C: UIDL", "S: -ERR temporary system problem"),
    ],
)
async def test_what_is_refused_for_now_is_not_what_the_server_does_not_have(listings: tuple[Step, ...]) -> None:
    # Without unique ids all mail would be new.
    async with ScriptedPeer(*OPENED, *STAT, *listings, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        with pytest.raises(ResponseError) as caught:
            await client.listing()
        assert caught.value.is_transient
        await client.noop()
        await client.quit()


async def test_an_answer_about_another_message_ends_the_connection() -> None:
    # RemoteProtocolError: "nothing it says can be trusted [...]: the connection is dead".
    async with ScriptedPeer(*OPENED, "C: LIST 1", "S: +OK 2 7", LISTEN) as peer:
        client = await connect(peer)
        with pytest.raises(RemoteProtocolError):
            await client.list(1)
        connected = client.is_connected
        client.abort()
        assert not connected


async def test_a_long_listing_is_read_whole() -> None:
    count = 20_000
    sizes = b"".join(b"%d 100\r\n" % number for number in range(1, count + 1))
    uids = b"".join(b"%d uid-%d\r\n" % (number, number) for number in range(1, count + 1))
    async with (
        ScriptedPeer(
            *(*OPENED, "C: STAT", b"+OK %d %d\r\n" % (count, count * 100)),
            *("C: LIST", b"+OK\r\n", sizes, b".\r\n", "C: UIDL", b"+OK\r\n", uids, b".\r\n", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        listing = await client.listing()
    assert len(listing) == count
    assert listing[-1] == Entry(count, f"uid-{count}", 100)
    assert not listing.findings


# Other commands


async def test_the_usual_commands_have_methods() -> None:
    async with (
        ScriptedPeer(
            *(*OPENED, "C: STAT", "S: +OK 2 14", "C: LIST", "S: +OK", "S: 1 7", "S: .", "C: LIST 1", "S: +OK 1 7"),
            *("C: UIDL", "S: +OK", "S: 1 u1", "S: .", "C: UIDL 1", "S: +OK 1 u1", "C: NOOP", "S: +OK"),
            *("C: RSET", "S: +OK", "C: RSET", "S: +OK", *POP3_QUIT),
        ) as peer,
        client_for(peer) as client,
    ):
        assert await client.stat() == DropListing(2, 14)
        assert await client.list() == await client.list(1) == {1: 7}
        assert await client.uidl() == await client.uidl(1) == {1: "u1"}
        await client.noop()
        await client.reset()
        await client.rollback()


async def test_a_command_gives_what_its_answer_means() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: STAT", "S: +OK 2 14", "C: UIDL 2", "S: +OK 2 u2", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await client.execute(Stat()) == DropListing(2, 14)
        assert await client.execute(Uidl(2)) == {2: "u2"}


async def test_a_refused_command_names_itself() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: LIST 9", "S: -ERR no such message", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(ResponseError, match="LIST 9 was refused: -ERR no such message") as caught:
            await client.execute(List(9))
    assert caught.value.command == "LIST 9"
    assert caught.value.response == Response(False, b"no such message")


@pytest.mark.parametrize("command", [Retr(1), Top(1, 0)])
async def test_a_message_is_no_answer_to_a_command(command: Retr | Top) -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        with pytest.raises(LocalProtocolError, match="has a message for an answer: use retrieve"):
            await client.execute(command)


async def test_capabilities_can_be_asked_for_again() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: CAPA", "S: +OK", "S: EXPIRE NEVER", "S: .", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert "EXPIRE" in await client.execute(Capa())
        assert "EXPIRE" in client.capabilities


# Faults


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((b"+OK " + b"a" * 100_000,), LimitExceeded),
        ((b"a" * 100_000,), LimitExceeded),
        ((b"+OK\r\n", *([b"X" * 1000 + b"\r\n"] * 200)), LimitExceeded),
        ((b"+ok\r\n",), RemoteProtocolError),
        ((b"+OKAY\r\n",), RemoteProtocolError),
        ((b"\r\n",), RemoteProtocolError),
        ((b"250 ok\r\n",), RemoteProtocolError),
        ((b"+ \r\n",), RemoteProtocolError),
        ((b"+OK\0\r\n",), RemoteProtocolError),
        ((b"\xff\xfe\x00\x01\r\n",), RemoteProtocolError),
    ],
    ids=[
        "endless line",
        "endless text",
        "endless listing",
        "case",
        "+OKAY",
        "empty",
        "SMTP",
        "challenge",
        "NUL",
        "noise",
    ],
)
async def test_what_is_no_response_ends_the_connection(answer: tuple[Step, ...], error: type[MailwireError]) -> None:
    async with ScriptedPeer(*POP3_GREETED, NO_READING, *answer) as peer:
        client = client_for(peer)
        with pytest.raises(error) as caught:
            await client.connect()
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()
        assert not client.is_connected


async def test_the_server_s_text_is_shown_as_one_printable_line() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: NOOP", b"-ERR \x1b[31m caf\xe9\xc2\x85\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(ResponseError) as caught:
            await client.execute(Noop())
    assert str(caught.value) == r"NOOP was refused: -ERR \x1b[31m caf\xe9\x85"


async def test_words_behind_an_answer_are_a_fault() -> None:
    async with ScriptedPeer(*OPENED, "C: NOOP", "S: +OK", "S: +OK again", STALL) as peer:
        client = await connect(peer)
        await client.execute(Noop())
        with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
            await client.execute(Noop())
        assert not client.is_connected


async def test_a_packet_may_hold_the_end_of_one_message_and_the_beginning_of_the_next() -> None:
    async with (
        ScriptedPeer(
            *(*PIPELINED, *LISTED_TOGETHER),
            *("C: RETR 1", "C: RETR 2", b"+OK\r\nfir", PACKET, b"st\r\n.\r\n+OK\r\noth", PACKET, b"er\r\n.\r\n"),
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO])) == [b"first\r\n", b"other\r\n"]


ANSWERS = ("-ERR no", "+OK", "+OK\n.", "+OK\n1 7\n.", "+OK\nhello\n.", "+ ", "+ aGVsbG8=", "OK", "250 ok", "")


@pytest.mark.parametrize("capability", ["PIPELINING", "TOP"])
@pytest.mark.parametrize("command", ["CAPA", "USER", "PASS", "LIST", "UIDL", "RETR 1", "RETR 2", "QUIT"])
async def test_whatever_answers_a_command_messages_are_whole_or_not_there(command: str, capability: str) -> None:
    clock = Clock()
    for answer in ANSWERS:
        table = {**POP3_ANSWERS, "CAPA": f"+OK\n{capability}\nUIDL\n.", command: answer}
        async with ScriptedPeer("S: +OK", Answers(table), LISTEN, lenient=True, guard=None) as peer:
            endpoint = client_for(peer, connect=once(peer)).endpoint
            retrieving = asyncio.create_task(mailwire.retrieve(endpoint))
            await peer.rest()
            if not retrieving.done():
                await clock.advance(3600)  # it waits for more
            try:
                messages = await retrieving
            except MailwireError:
                continue
        # A message is what stands between +OK and the dot. UIDL names what LIST does not.
        bodies = {1: b"first\r\n", 2: b"other\r\n"}
        if command.startswith("RETR"):
            bodies[int(command[-1])] = "".join(f"{line}\r\n" for line in answer.split("\n")[1:-1]).encode()
        assert [message.raw for message in messages] == [bodies[1], bodies[2]], answer


async def test_what_is_asked_behind_a_session_tells_how_that_went() -> None:
    transcript = Transcript()
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer:
        client = await connect(peer, transcript=transcript)
        assert client.transcript is transcript
        await client.quit()
    await client.quit()  # there is nothing to take leave of
    with pytest.raises(LocalProtocolError, match=r"^the client is not connected: connect\(\) first$") as caught:
        await client.commit()
    assert caught.value.transcript == transcript.tail()
    assert "C: QUIT" in caught.value.transcript


async def test_the_top_of_a_message_is_its_header_alone_unless_more_is_asked_for() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", "S: +OK", "S: a: b", "S: .", *POP3_QUIT) as peer:
        client = await connect(peer)
        assert await client.top("u1") == b"a: b\r\n"
        await client.quit()


async def test_tls_is_not_begun_by_a_command() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        with pytest.raises(LocalProtocolError) as caught:
            await client.execute(Stls())
        assert str(caught.value) == 'TLS is begun by connect(): set tls="starttls" in the endpoint'


async def test_a_password_does_not_cross_an_open_link_by_a_command() -> None:
    async with ScriptedPeer(*OPENED[:3], *POP3_QUIT) as peer:
        client = await connect(peer, auth=None, allow_cleartext_auth=False)
        with pytest.raises(SecurityError, match="in the clear"):
            await client.execute(Pass("secret"))
        await client.quit()
    assert b"secret" not in peer.wire
