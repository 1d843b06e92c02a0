import asyncio
import base64
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import (
    BudgetExceeded,
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    Delivery,
    Desynchronised,
    InvalidMessage,
    LocalProtocolError,
    MailOptions,
    MailwireError,
    MessagePolicy,
    MessageTruncated,
    NotSupported,
    RecipientOptions,
    RecipientsRefused,
    ReplyError,
    ResponseError,
    RetrievalIncomplete,
    SecurityError,
    SourceFailed,
    Timeouts,
    Transcript,
)
from mailwire.pop3 import Response
from mailwire.testing import (
    CLOSE,
    FIN,
    LISTEN,
    QUIRKS,
    STALL,
    WITHHOLD,
    Account,
    Answers,
    MailServer,
    ScriptedPeer,
    Step,
    Tls,
)
from tests.aio.dialogues import (
    CANARY,
    CREDENTIALS,
    LISTED,
    LISTED_TOGETHER,
    MAILED,
    MESSAGE,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_QUIT,
    QUIT,
    READY,
    SENT,
    TWO_MESSAGES,
    extensions,
)

STATED: tuple[Step, ...] = ("C: STAT", "S: +OK 1 9")
ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}


def pop3_endpoint(peer: ScriptedPeer, **settings: Any) -> mailwire.Endpoint:
    return peer.endpoint(protocol="pop3", **{"auth": CREDENTIALS, "allow_cleartext_auth": True, **settings})


# send


async def test_a_mail_is_sent_by_one_call() -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer:
        receipt = await mailwire.send(MESSAGE, peer.endpoint(), **ENVELOPE)
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == ("b@example.org",)


async def test_a_mail_is_sent_to_a_url() -> None:
    credentials = base64.b64encode(b"\0bob\0secret").decode()
    async with ScriptedPeer(
        *(*extensions("AUTH PLAIN"), f"C: AUTH PLAIN {credentials}", "S: 235 ok", *SENT, *QUIT), listen=True
    ) as peer:
        endpoint = mailwire.Endpoint.parse(f"smtp://bob:secret@127.0.0.1:{peer.port}", allow_cleartext_auth=True)
        receipt = await mailwire.send(MESSAGE, endpoint, **ENVELOPE)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_a_password_in_a_url_does_not_cross_an_open_link() -> None:
    async with ScriptedPeer(*extensions("AUTH PLAIN"), listen=True) as peer:
        with pytest.raises(SecurityError, match="allow_cleartext_auth"):
            await mailwire.send(MESSAGE, f"smtp://bob:secret@127.0.0.1:{peer.port}", **ENVELOPE)
    async with ScriptedPeer("S: +OK", "C: CAPA", "S: -ERR", listen=True) as peer:
        with pytest.raises(SecurityError, match="allow_cleartext_auth"):
            await mailwire.retrieve(f"pop3://bob:secret@127.0.0.1:{peer.port}")


async def test_a_composed_mail_needs_no_envelope() -> None:
    message = mailwire.compose(
        sender="Ann <a@example.org>", to=["b@example.org"], bcc="c@example.org", subject="Hello", text="Hello world\n"
    )
    async with ScriptedPeer(
        *READY,
        *("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 250 ok"),
        *("C: RCPT TO:<c@example.org>", "S: 250 ok", *SENT[4:], *QUIT),
    ) as peer:
        receipt = await mailwire.send(message, peer.endpoint())
    assert receipt.accepted == ("b@example.org", "c@example.org")
    assert b"From: Ann <a@example.org>\r\nTo: b@example.org\r\nSubject: Hello\r\n" in peer.heard
    assert b"Bcc" not in peer.heard
    assert peer.heard.count(b"c@example.org") == 1


@pytest.mark.parametrize("kind", [list, tuple, set, iter])
async def test_the_recipients_may_be_any_iterable(kind: Callable[[list[str]], Iterable[str]]) -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer:
        recipients = kind(["b@example.org"])
        receipt = await mailwire.send(MESSAGE, peer.endpoint(), sender="a@example.org", recipients=recipients)
    assert receipt.accepted == ("b@example.org",)


async def test_the_dialogue_of_a_mail_can_be_kept() -> None:
    transcript = Transcript()
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer:
        await mailwire.send(MESSAGE, peer.endpoint(), transcript=transcript, **ENVELOPE)
    assert transcript.tail(2) == ("C: QUIT", "S: 221 bye")
    assert len(transcript) == 14


@pytest.mark.parametrize(
    ("script", "settings", "error", "delivery"),
    [
        ((FIN,), {}, ConnectionLost, Delivery.NOT_SENT),
        (("S: 554 no",), {}, ReplyError, Delivery.NOT_SENT),
        ((*extensions(), STALL), {"tls": "starttls"}, SecurityError, Delivery.NOT_SENT),
        ((*READY, *MAILED, FIN), {}, ConnectionLost, Delivery.UNKNOWN),
        ((*READY, *MAILED, "S: 554 no"), {}, DataRefused, Delivery.REFUSED),
    ],
    ids=["FIN", "greeting", "no STARTTLS", "behind the dot", "refused"],
)
async def test_every_error_says_what_became_of_the_mail(
    script: tuple[Step, ...], settings: dict[str, Any], error: type[MailwireError], delivery: Delivery
) -> None:
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(error) as caught:
            await mailwire.send(MESSAGE, peer.endpoint(**settings), **ENVELOPE)
    assert_told(caught.value, delivery)


def assert_told(error: MailwireError, delivery: Delivery) -> None:
    """The word is there, for the mail and for each recipient."""
    assert error.delivery is delivery
    assert error.receipt is not None
    assert [(entry.address, entry.delivery) for entry in error.receipt.recipients] == [("b@example.org", delivery)]


async def test_a_mail_for_which_no_connection_can_be_made_is_not_sent() -> None:
    async def connect() -> Any:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(ConnectionFailed) as caught:
        await mailwire.send(MESSAGE, mailwire.Endpoint("localhost", tls="none", connect=connect), **ENVELOPE)
    assert_told(caught.value, Delivery.NOT_SENT)


@pytest.mark.parametrize("farewell", [(STALL,), (FIN,), ("S: 500 what",), ("S: what",)])
async def test_what_becomes_of_the_farewell_is_nothing_to_a_mail_that_was_accepted(farewell: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*READY, *SENT, "C: QUIT", *farewell) as peer:
        receipt = await mailwire.send(MESSAGE, peer.endpoint(timeouts=Timeouts(quit=0.01)), **ENVELOPE)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_a_close_notify_that_does_not_come_is_nothing_to_a_mail_that_was_accepted() -> None:
    async with ScriptedPeer(Tls(), *READY, *SENT, *QUIT, WITHHOLD) as peer:
        endpoint = peer.endpoint(tls="implicit", timeouts=Timeouts(close=0.01))
        receipt = await mailwire.send(MESSAGE, endpoint, **ENVELOPE)
    assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (MESSAGE, {"sender": "a@example.org\r\nRSET", "recipients": "b@example.org"}),
        (MESSAGE, {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org\0"]}),
        (MESSAGE, {"sender": "a@example.org", "recipients": []}),
        (MESSAGE, {}),
        (b"", ENVELOPE),
        (b"a\0b", ENVELOPE),
    ],
    ids=["line end", "NUL", "no recipient", "no envelope", "empty", "NUL in the message"],
)
async def test_a_mail_that_cannot_be_sent_is_refused_before_a_byte(message: bytes, arguments: dict[str, Any]) -> None:
    async with ScriptedPeer(*READY, LISTEN, optional=True) as peer:
        with pytest.raises(InvalidMessage) as caught:
            await mailwire.send(message, peer.endpoint(), **arguments)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert peer.wire == b""
    # Where it cannot be told for whom the mail is, there is nobody to tell about.
    assert (caught.value.receipt is None) == (arguments is not ENVELOPE)
    if arguments is ENVELOPE:
        assert_told(caught.value, Delivery.NOT_SENT)


@pytest.mark.parametrize(
    ("message", "arguments", "error"),
    [
        (Path("/nowhere/at/all"), {}, SourceFailed),
        ("Subject: x\r\n\r\nä\r\n", {}, NotSupported),
        (MESSAGE, {"options": MailOptions(ret="HDRS")}, NotSupported),
    ],
    ids=["no file", "8-bit", "DSN"],
)
async def test_what_a_server_cannot_be_given_is_told_for_each_recipient(
    message: Any, arguments: dict[str, Any], error: type[MailwireError]
) -> None:
    async with ScriptedPeer(*READY, *QUIT, lenient=True, optional=True) as peer:
        with pytest.raises(error) as caught:
            await mailwire.send(message, peer.endpoint(), **ENVELOPE, **arguments)
    assert_told(caught.value, Delivery.NOT_SENT)


async def test_all_that_is_wished_for_a_mail_is_handed_on() -> None:
    told: list[tuple[int, int | None]] = []
    script: tuple[Step, ...] = (
        *extensions("CHUNKING", "DSN"),
        *("C: MAIL FROM:<a@example.org> RET=HDRS", "S: 250 ok"),
        *("C: RCPT TO:<b@example.org> NOTIFY=NEVER", "S: 250 ok"),
        *("C: RCPT TO:<c@example.org> NOTIFY=NEVER", "S: 550 no", "C: RSET", "S: 250 ok"),
    )
    wishes: dict[str, Any] = {
        "sender": "a@example.org",
        "recipients": ["b@example.org", "c@example.org"],
        "options": MailOptions(ret="HDRS"),
        "recipient_options": RecipientOptions(notify="NEVER"),
        "on_refused": "abort",
    }
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(RecipientsRefused):
            await mailwire.send(MESSAGE, peer.endpoint(), **wishes)
    async with ScriptedPeer(*extensions("CHUNKING"), *SENT, *QUIT) as peer:
        arguments: dict[str, Any] = {"use_chunking": False, "progress": lambda *how: told.append(how)}
        await mailwire.send(MESSAGE, peer.endpoint(), **ENVELOPE, **arguments)
    assert told == [(21, 21)]


async def test_a_mail_is_taken_as_the_policy_says() -> None:
    async with ScriptedPeer(*READY, lenient=True, optional=True) as peer:
        with pytest.raises(InvalidMessage, match="a bare LF"):
            await mailwire.send(b"a\n", peer.endpoint(), **ENVELOPE, policy=MessagePolicy(line_ends="reject"))


def test_an_endpoint_of_the_other_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an endpoint for smtp"):
        asyncio.run(mailwire.send(MESSAGE, "pop3s://example.org", **ENVELOPE))
    with pytest.raises(ValueError, match="expected an endpoint for pop3"):
        asyncio.run(mailwire.retrieve("smtps://example.org"))


# retrieve


async def test_a_message_that_may_be_cut_off_is_not_returned_as_whole() -> None:
    async with MailServer([Account(CREDENTIALS.user, CREDENTIALS.password)], quirk=QUIRKS["unstuffed"]) as server:
        server.maildrop.put("bob", b"Subject: x\r\n\r\nfirst half\r\n.\r\nsecond half\r\n")
        endpoint = mailwire.Endpoint(
            server.host, server.pop3_port, "pop3", "none", auth=CREDENTIALS, allow_cleartext_auth=True
        )
        with pytest.raises(Desynchronised, match="the message is cut off there") as caught:
            await mailwire.retrieve(endpoint)
    assert caught.value.suspect == "RETR 1"
    assert caught.value.messages == ()


async def test_every_message_is_retrieved_by_one_call() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer:
        messages = await mailwire.retrieve(pop3_endpoint(peer))
    assert [(message.number, message.uid, message.raw) for message in messages] == [
        (1, "u1", b"first\r\n"),
        (2, "u2", b"other\r\n"),
    ]


async def test_messages_are_retrieved_from_a_url() -> None:
    async with ScriptedPeer("S: +OK", Answers(POP3_ANSWERS), listen=True) as peer:
        endpoint = mailwire.Endpoint.parse(f"pop3://bob:secret@127.0.0.1:{peer.port}", allow_cleartext_auth=True)
        messages = await mailwire.retrieve(endpoint)
    assert len(messages) == 2


async def test_a_retrieved_message_can_be_parsed() -> None:
    async with ScriptedPeer(
        *(
            *OPENED,
            "C: STAT",
            "S: +OK 1 9",
            "C: LIST",
            "S: +OK",
            "S: 1 9",
            "S: .",
            "C: UIDL",
            "S: -ERR",
            "C: RETR 1",
            "S: +OK",
        ),
        *("S: Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "S: ", "S: hello", "S: .", *POP3_QUIT),
    ) as peer:
        (message,) = await mailwire.retrieve(pop3_endpoint(peer))
    assert message.uid is None
    assert message.parse()["Subject"] == "Grüße"
    assert message.parse().get_content() == "hello\r\n"


async def test_an_empty_maildrop_gives_no_message() -> None:
    async with ScriptedPeer(
        *OPENED, *STATED, "C: LIST", "S: +OK", "S: .", "C: UIDL", "S: +OK", "S: .", *POP3_QUIT
    ) as peer:
        assert await mailwire.retrieve(pop3_endpoint(peer)) == []


async def test_the_dialogue_of_a_retrieval_can_be_kept() -> None:
    transcript = Transcript(limit=None)
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer:
        await mailwire.retrieve(pop3_endpoint(peer), transcript=transcript)
    assert transcript.tail(8) == (
        *("C: RETR 1", "S: +OK", "S: (7 octets)", "C: RETR 2", "S: +OK", "S: (7 octets)", "C: QUIT", "S: +OK bye"),
    )
    assert CANARY not in transcript.render()


async def test_more_than_the_budget_is_refused_before_the_first_message() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, STALL) as peer:
        with pytest.raises(BudgetExceeded, match="2 messages of 14 octets are more than 13 octets") as caught:
            await mailwire.retrieve(pop3_endpoint(peer), max_octets=13)
    assert caught.value.messages == ()


async def test_there_may_be_no_budget_at_all() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], LISTEN) as peer:
        with pytest.raises(BudgetExceeded, match="the messages of this run are longer than 0 octets"):
            await mailwire.retrieve(pop3_endpoint(peer), max_octets=0)


# Six octets less than none, as somebody printed them.
ABSURD: tuple[Step, ...] = (*LISTED[:4], "S: 1 4294967290", *LISTED[5:])


async def test_a_message_of_an_absurd_size_is_as_long_as_it_is() -> None:
    async with ScriptedPeer(*OPENED, *ABSURD, *TWO_MESSAGES, *POP3_QUIT) as peer:
        messages = await mailwire.retrieve(pop3_endpoint(peer), max_octets=14)
    assert [message.raw for message in messages] == [b"first\r\n", b"other\r\n"]


async def test_beside_an_absurd_size_the_others_add_up_before_the_first_message() -> None:
    listed = ("C: LIST", "S: +OK", "S: 1 4294967290", "S: 2 8", "S: 3 8", "S: .")
    uids = ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: 3 u3", "S: .")
    async with ScriptedPeer(*OPENED, *LISTED[:2], *listed, *uids, STALL) as peer:
        with pytest.raises(BudgetExceeded, match="2 messages of 16 octets are more than 15 octets"):
            await mailwire.retrieve(pop3_endpoint(peer), max_octets=15)


async def test_a_message_that_is_as_long_as_announced_ends_at_the_budget() -> None:
    listed = (*LISTED[:5], "S: 2 100000", *LISTED[6:])
    async with ScriptedPeer(*OPENED, *listed, *TWO_MESSAGES[:5], "S: +OK", b"x" * 100_000, LISTEN) as peer:
        with pytest.raises(BudgetExceeded, match="longer than 100 octets") as caught:
            await mailwire.retrieve(pop3_endpoint(peer), max_octets=100)
    assert [message.raw for message in caught.value.messages] == [b"first\r\n"]


async def test_the_budget_may_be_spent_whole() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer:
        messages = await mailwire.retrieve(pop3_endpoint(peer), max_octets=14)
    assert len(messages) == 2


async def test_a_message_longer_than_announced_ends_at_the_budget() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:5], "S: +OK", b"x" * 100_000, LISTEN) as peer:
        with pytest.raises(BudgetExceeded, match="longer than 100 octets") as caught:
            await mailwire.retrieve(pop3_endpoint(peer), max_octets=100)
    assert [message.raw for message in caught.value.messages] == [b"first\r\n"]


@pytest.mark.parametrize("refused", [(1,), (2,), (1, 2)])
async def test_refused_messages_are_told_when_the_others_were_retrieved(refused: tuple[int, ...]) -> None:
    table = {**POP3_ANSWERS, **{f"RETR {number}": f"-ERR gone {number}" for number in refused}}
    async with ScriptedPeer("S: +OK", Answers(table), LISTEN) as peer:
        with pytest.raises(RetrievalIncomplete) as caught:
            await mailwire.retrieve(pop3_endpoint(peer))
    error = caught.value
    assert error.refusals == {number: Response(False, b"gone %d" % number) for number in refused}
    assert [message.number for message in error.messages] == [number for number in (1, 2) if number not in refused]
    assert str(error).startswith(f"{len(refused)} of 2 messages were refused: {refused[0]}: -ERR gone {refused[0]}")


async def test_of_many_refusals_a_few_are_shown() -> None:
    listing = "\n".join(f"{number} 1" for number in range(1, 101))
    table = {**POP3_ANSWERS, "LIST": f"+OK\n{listing}\n.", "UIDL": "-ERR", "RETR": "-ERR no"}
    async with ScriptedPeer("S: +OK", Answers({k: v for k, v in table.items() if " " not in k}), LISTEN) as peer:
        with pytest.raises(RetrievalIncomplete) as caught:
            await mailwire.retrieve(pop3_endpoint(peer))
    assert len(caught.value.refusals) == 100
    shown = "; ".join(f"{number}: -ERR no" for number in range(1, 6))
    assert str(caught.value) == f"100 of 100 messages were refused: {shown}"


async def test_what_is_gone_by_the_time_that_it_is_asked_for_again_is_told_beside_what_is_refused() -> None:
    listed = ("C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 7", "S: .", "C: UIDL", "S: +OK", "S: 1 u2", "S: .")
    async with (
        ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", "S: -ERR no", FIN) as first,
        ScriptedPeer(*OPENED, *listed, "C: RETR 1", "S: +OK", "S: second", "S: .", LISTEN) as second,
    ):
        ways = iter((first, second))

        async def way() -> Any:
            return await next(ways).connect()

        with pytest.raises(RetrievalIncomplete) as caught:
            await mailwire.retrieve(pop3_endpoint(first).replace(connect=way))
    error = caught.value
    assert str(error) == "2 of 3 messages were not to be had: 1: -ERR no; u3: gone"
    assert error.refusals == {1: Response(False, b"no")}
    assert error.missing == ("u3",)
    assert [message.raw for message in error.messages] == [b"second\r\n"]


async def test_settings_are_handed_on_to_a_retrieval() -> None:
    transcript = Transcript(limit=None)
    settings = mailwire.POP3Settings(asks_capabilities=False)
    async with ScriptedPeer("S: +OK", Answers(POP3_ANSWERS), LISTEN) as peer:
        assert len(await mailwire.retrieve(pop3_endpoint(peer), settings=settings, transcript=transcript)) == 2
    assert "CAPA" not in transcript.render()


@pytest.mark.parametrize("farewell", [("S: -ERR no",), (FIN,)])
async def test_what_becomes_of_the_farewell_is_nothing_to_messages_that_were_retrieved(
    farewell: tuple[Step, ...],
) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, "C: QUIT", *farewell) as peer:
        messages = await mailwire.retrieve(pop3_endpoint(peer))
    assert len(messages) == 2


async def test_what_is_no_farewell_may_be_the_rest_of_the_last_message() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, "C: QUIT", "S: what", LISTEN) as peer:
        with pytest.raises(Desynchronised, match="in answer to QUIT") as caught:
            await mailwire.retrieve(pop3_endpoint(peer))
    assert caught.value.suspect == "RETR 2"
    assert caught.value.messages == ()


async def test_what_a_message_has_forged_behind_a_dot_of_its_own_is_not_among_what_came_whole() -> None:
    forged = ("S: +OK", "S: Subject: evil", "S: ", "S: .", "S: +OK", "S: Subject: forged", "S: ", "S: .", "S: more")
    steps = (*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3", "S: +OK", "S: a: b", "S: ", "S: .")
    async with ScriptedPeer(*steps, *forged, LISTEN) as peer:
        with pytest.raises(Desynchronised) as caught:
            await mailwire.retrieve(pop3_endpoint(peer))
    assert caught.value.messages == ()


async def test_what_is_out_of_step_before_any_message_tells_of_none() -> None:
    async with ScriptedPeer(*OPENED, *LISTED[:2], "C: LIST", "S: what", LISTEN) as peer:
        with pytest.raises(Desynchronised) as caught:
            await mailwire.retrieve(pop3_endpoint(peer))
    assert caught.value.messages == ()


async def test_a_message_that_is_cut_is_none() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:5], "S: +OK", "S: oth", CLOSE) as peer:
        with pytest.raises(MessageTruncated) as caught:
            await mailwire.retrieve(pop3_endpoint(peer))
    assert caught.value.octets == 5
    assert [message.raw for message in caught.value.messages] == [b"first\r\n"]


async def test_a_refused_listing_is_told() -> None:
    async with ScriptedPeer(*OPENED, *STATED, "C: LIST", "S: -ERR no", "C: UIDL", "S: -ERR no", STALL) as peer:
        with pytest.raises(ResponseError, match="LIST was refused: -ERR no"):
            await mailwire.retrieve(pop3_endpoint(peer))


async def test_without_credentials_there_is_nothing_to_retrieve() -> None:
    async with ScriptedPeer(*OPENED[:3], STALL) as peer:
        with pytest.raises(LocalProtocolError, match="STAT cannot be sent now"):
            await mailwire.retrieve(pop3_endpoint(peer, auth=None))


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ((*TWO_MESSAGES[:5], "S: +OK", "S: oth", FIN), MessageTruncated),
        ((*TWO_MESSAGES[:5], FIN), ConnectionLost),
        ((*TWO_MESSAGES[:5], "S: +OK", "S: other but longer", LISTEN), BudgetExceeded),
        (("C: RETR 1", "S: +OK", "S: first but longer", LISTEN), BudgetExceeded),
    ],
    ids=["cut", "cut between", "budget", "budget of the first"],
)
def test_a_retrieval_that_fails_leaves_nothing_for_the_loop_to_clear_away(
    script: tuple[Step, ...], error: type[MailwireError], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with ScriptedPeer(*OPENED, *LISTED, *script) as peer:
            with pytest.raises(error):
                await mailwire.retrieve(pop3_endpoint(peer), max_octets=14)

    with caplog.at_level(logging.DEBUG):
        for _ in range(10):  # in which order the loop clears away is left to chance
            asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_an_error_of_one_s_own_inside_a_retrieval_leaves_nothing_for_the_loop_to_clear_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with ScriptedPeer("S: +OK", Answers(POP3_ANSWERS), LISTEN) as peer:
            with pytest.raises(LookupError):
                await fail_inside(mailwire.POP3Client(pop3_endpoint(peer)))

    async def fail_inside(client: mailwire.POP3Client) -> None:
        async with client:
            async for item in client.retrieve(await client.listing()):
                raise LookupError(item.entry.number)

    with caplog.at_level(logging.DEBUG):
        for _ in range(10):
            asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG] == []
