"""What becomes of a mail on its way: in chunks or behind DATA, with wishes, in parts, from sources of any kind."""

import asyncio
import io
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import mailwire
from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    DeliverBy,
    Delivery,
    Endpoint,
    InvalidMessage,
    Mailing,
    MailOptions,
    MailwireError,
    MessagePolicy,
    NotSupported,
    Receipt,
    RecipientOptions,
    RecipientsRefused,
    RemoteProtocolError,
    SecurityError,
    SenderRefused,
    ServiceNotAvailable,
    SMTPClient,
    SMTPPool,
    SourceFailed,
    Timeouts,
)
from mailwire.aio.dialogue import Dialogue
from mailwire.aio.sending import Sending
from mailwire.maildrop.mail import Mail
from mailwire.smtp import Batch, Ehlo, Reply, State
from mailwire.testing import (
    EXTENSIONS,
    FIN,
    LISTEN,
    MAIL_DATA,
    NO_READING,
    STALL,
    Account,
    Answers,
    Envelope,
    Hear,
    MailServer,
    Policy,
    ScriptedPeer,
    Step,
    Tls,
    client_context,
    server_context,
)
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import GREETED, MAILED, MESSAGE, QUIT, SMTP_ANSWERS, extensions
from tests.aio.dialogues import once as for_one
from tests.linear_work import Unheard
from tests.smtp.sessions import ask, at

ARGUMENTS: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}
ACCOUNTS = [Account(name, "", (f"{name}@example.org", f"{name}@example.net")) for name in ("b", "c", "d")]
MAIL, RCPT = "C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>"
OPENED: tuple[Step, ...] = (MAIL, "S: 250 ok", RCPT, "S: 250 ok")
CHUNKED: tuple[Step, ...] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)), "S: 250 taken")
LARGE = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 50_000


def endpoint_of(server: MailServer, **settings: Any) -> Endpoint:
    settings = {"tls": "none", **settings}
    if settings["tls"] != "none":
        settings.setdefault("tls_context", client_context())
    return Endpoint("localhost", server.smtp_port, **settings)


async def send_to(server: MailServer, message: Any = MESSAGE, /, **arguments: Any) -> Receipt:
    settings = arguments.pop("settings", {})
    return await mailwire.send(message, endpoint_of(server, **settings), **{**ARGUMENTS, **arguments})


def words(receipt: Receipt | None) -> list[Delivery]:
    assert receipt is not None
    return [entry.delivery for entry in receipt.recipients]


# In chunks


async def test_a_message_goes_in_chunks_where_that_is_announced() -> None:
    async with ScriptedPeer(*extensions("CHUNKING"), *OPENED, *CHUNKED, *QUIT) as peer:
        receipt = await mailwire.send(MESSAGE, peer.endpoint(), **ARGUMENTS)
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.reply == Reply(250, (b"taken",))
    assert receipt.octets == len(MESSAGE)


async def test_a_large_message_goes_in_many_chunks() -> None:
    async with MailServer(ACCOUNTS) as server:
        receipt = await send_to(server, LARGE)
        (message,) = server.messages("b")
    assert message.content == LARGE
    assert receipt.octets == len(LARGE)
    chunks = [line for line in server.smtp_sessions[0].commands if line.startswith(b"BDAT")]
    assert len(chunks) > 2
    assert [line.endswith(b" LAST") for line in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"use_chunking": False}, {}),
        ({}, {"use_chunking": False}),
        ({"use_chunking": True}, {"use_chunking": False}),
        ({"use_chunking": "eager"}, {"use_chunking": False}),
        ({"ignored_extensions": ["chunking"]}, {}),
        ({"ignored_extensions": ["chunking"]}, {"use_chunking": True}),
    ],
)
async def test_chunks_can_be_switched_off(settings: dict[str, Any], arguments: dict[str, Any]) -> None:
    async with ScriptedPeer(
        *extensions("CHUNKING"), *OPENED, "C: DATA", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT
    ) as peer:
        await mailwire.send(MESSAGE, peer.endpoint(**settings), **ARGUMENTS, **arguments)


@pytest.mark.parametrize("choice", [True, "eager"])
async def test_no_chunk_goes_to_a_server_that_does_not_announce_it(choice: Any) -> None:
    async with ScriptedPeer(
        *extensions("SIZE"), MAIL + " SIZE=21", *OPENED[1:], "C: DATA", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT
    ) as peer:
        await mailwire.send(MESSAGE, peer.endpoint(), **ARGUMENTS, use_chunking=choice)


@pytest.mark.parametrize(
    ("greeting", "hello"),
    [
        ("220 mx Microsoft ESMTP MAIL Service ready at Thu, 1 Jan 2026 00:00:00 +0000", "mx"),
        ("220 mx ESMTP", "AM0PR07CA0012.outlook.office365.com Hello [198.51.100.4]"),
        ("220 mailgateway Symantec Mail Security Mon, 17 Sep 2007 12:00:00 -0000", "mailgateway"),
    ],
)
async def test_a_server_known_to_be_bad_at_chunks_gets_none_unless_one_insists(greeting: str, hello: str) -> None:
    opening: tuple[Step, ...] = (f"S: {greeting}", "C: EHLO ...", f"S: 250-{hello}", "S: 250 CHUNKING", *OPENED)
    async with ScriptedPeer(*opening, "C: DATA", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT) as peer:
        await mailwire.send(MESSAGE, peer.endpoint(), **ARGUMENTS)
    async with ScriptedPeer(*opening, *CHUNKED, *QUIT) as peer:
        await mailwire.send(MESSAGE, peer.endpoint(use_chunking=True), **ARGUMENTS)


async def test_an_eager_client_waits_for_nobody() -> None:
    async with ScriptedPeer(
        *extensions("CHUNKING", "PIPELINING"),
        *(MAIL, RCPT, *CHUNKED[:2], "S: 250 ok", "S: 250 ok", "S: 250 taken", *QUIT),
    ) as peer:
        receipt = await mailwire.send(MESSAGE, peer.endpoint(), **ARGUMENTS, use_chunking="eager")
    assert receipt.delivery is Delivery.ACCEPTED


async def test_all_or_nobody_is_not_eager() -> None:
    async with ScriptedPeer(
        *extensions("CHUNKING", "PIPELINING"), MAIL, RCPT, "S: 250 ok", "S: 250 ok", *CHUNKED, *QUIT
    ) as peer:
        await mailwire.send(MESSAGE, peer.endpoint(use_chunking="eager"), **ARGUMENTS, on_refused="abort")


async def test_a_chunk_that_is_refused_ends_the_message() -> None:
    async with (
        ScriptedPeer(
            *extensions("CHUNKING"),
            *(*OPENED, "C: BDAT 393216", Hear(393216), "S: 552 big", "C: RSET", "S: 250 ok", *OPENED, *CHUNKED, *QUIT),
        ) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        with pytest.raises(DataRefused, match="552 big") as caught:
            await client.send(LARGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
        assert (await client.send(MESSAGE, **ARGUMENTS)).delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("offered", [EXTENSIONS, ("CHUNKING", "BINARYMIME")])
async def test_octets_of_any_kind_arrive_as_they_are(offered: tuple[str, ...]) -> None:
    binary = b"Subject: x\r\n\r\n" + bytes(range(256)) + b".\n\n.\r\r\n" + b"\0" * 2000
    async with MailServer(ACCOUNTS, policy=Policy(extensions=offered)) as server:
        await send_to(server, binary, policy=MessagePolicy(binary=True))
        (message,) = server.messages("b")
    assert message.content == binary
    assert message.envelope is not None
    assert message.envelope.parameters["BODY"] == "BINARYMIME"


@pytest.mark.parametrize(
    ("offered", "settings"),
    [(("CHUNKING",), {}), (("BINARYMIME",), {}), (("CHUNKING", "BINARYMIME"), {"use_chunking": False})],
)
async def test_octets_of_any_kind_go_in_chunks_or_not_at_all(offered: tuple[str, ...], settings: Any) -> None:
    async with MailServer(ACCOUNTS, policy=Policy(extensions=offered)) as server:
        with pytest.raises(NotSupported) as caught:
            await send_to(server, policy=MessagePolicy(binary=True), settings=settings)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert caught.value.extension in ("CHUNKING", "BINARYMIME")
    if settings:
        assert str(caught.value) == "what is sent as it is must go in chunks, which are switched off"
    assert b"MAIL" not in b"".join(server.smtp_sessions[0].commands)


async def test_octets_of_any_kind_from_a_file_need_what_those_in_memory_need(tmp_path: Path) -> None:
    (tmp_path / "mail").write_bytes(MESSAGE)
    async with MailServer(ACCOUNTS, policy=Policy(extensions=("CHUNKING",))) as server:
        with pytest.raises(NotSupported) as caught:
            await send_to(server, tmp_path / "mail", policy=MessagePolicy(binary=True))
    assert (caught.value.extension, caught.value.delivery) == ("BINARYMIME", Delivery.NOT_SENT)


# All or nobody


@pytest.mark.parametrize("offered", [(), ("PIPELINING",), ("CHUNKING", "PIPELINING")])
async def test_a_mail_for_all_or_nobody_reaches_nobody(offered: tuple[str, ...]) -> None:
    async with MailServer(ACCOUNTS, policy=Policy(extensions=offered)) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            recipients = ["b@example.org", "nobody@example.org", "c@example.org"]
            with pytest.raises(RecipientsRefused, match="a recipient was refused: 550") as caught:
                await client.send(MESSAGE, sender="", recipients=recipients, on_refused="abort")
            assert caught.value.delivery is Delivery.REFUSED
            assert words(caught.value.receipt) == [Delivery.NOT_SENT, Delivery.REFUSED, Delivery.NOT_SENT]
            assert server.messages("b") == server.messages("c") == ()
            # The session is as good as before.
            receipt = await client.send(MESSAGE, sender="", recipients=recipients[::2], on_refused="abort")
        assert receipt.accepted == ("b@example.org", "c@example.org")
        assert len(server.messages("b")) == 1


# Wishes


async def test_wishes_are_said_with_the_commands_they_belong_to() -> None:
    options = MailOptions(ret="HDRS", envelope_id="id 1", priority=3, hold_for=60, auth="")
    wished = {"c@example.org": RecipientOptions(notify=["FAILURE", "DELAY"], original_recipient="c+list@example.org")}
    async with MailServer([*ACCOUNTS, Account("a", "secret")]) as server:
        await send_to(server, recipients=["b@example.org", "c@example.org"], options=options, recipient_options=wished)
        (message,) = server.messages("b")
    assert message.envelope == Envelope(
        "a@example.org",
        ("b@example.org", "c@example.org"),
        {"SIZE": "21", "RET": "HDRS", "ENVID": "id+201", "HOLDFOR": "60", "MT-PRIORITY": "3", "AUTH": "<>"},
        ({}, {"NOTIFY": "FAILURE,DELAY", "ORCPT": "rfc822;c+2Blist@example.org"}),
    )


@pytest.mark.parametrize(
    ("parameters", "settings", "told"),
    [
        ({"BODY": "7BIT"}, {}, "expected each parameter once, got BODY, SIZE, BODY"),
        ({"body": "8BITMIME"}, {}, "expected each parameter once, got BODY, SIZE, body"),
        ({"SIZE": "1"}, {}, "expected each parameter once, got BODY, SIZE, SIZE"),
        (
            {"BODY": "BINARYMIME"},
            {"message": MESSAGE, "use_chunking": False},
            "a binary message goes in chunks (RFC 3030 3)",
        ),
    ],
)
async def test_a_parameter_against_what_the_message_says_of_itself_is_told_of_the_mail(
    parameters: dict[str, str | None], settings: dict[str, Any], told: str
) -> None:
    mail = {**ARGUMENTS, "message": b"Subject: x\r\n\r\n\xc3\xa9\r\n", **settings}
    mail["options"] = MailOptions(parameters=parameters)
    async with MailServer(ACCOUNTS) as server:
        async with SMTPClient(endpoint_of(server)) as client, SMTPPool(endpoint_of(server)) as pool:
            errors = []
            for send in (client.send, pool.send):
                with pytest.raises(InvalidMessage) as caught:
                    await send(**mail)
                errors.append(caught.value)
            message = mail.pop("message")
            for run in (client.send_all([message], **mail), pool.send_all([message], **mail)):
                async with run as results:
                    (error,) = [result.error async for result in results]
                    assert isinstance(error, InvalidMessage)
                    errors.append(error)
            for error in errors:
                assert str(error) == told
                assert isinstance(error.__cause__, ValueError)
                assert error.delivery is Delivery.NOT_SENT
                assert error.receipt is not None
                assert [entry.delivery for entry in error.receipt.recipients] == [Delivery.NOT_SENT]
            await client.send(MESSAGE, **ARGUMENTS)  # the session is as good as before
        assert len(server.messages("b")) == 1


@pytest.mark.parametrize(
    ("announced", "is_taken"),
    [("DELIVERBY 240,X-TOKEN", False), ("DELIVERBY 120,X-TOKEN", True), ("DELIVERBY 0", True), ("DELIVERBY", True)],
)
async def test_a_time_limit_is_held_to_the_least_that_is_announced_whatever_stands_behind_it(
    announced: str, is_taken: bool
) -> None:
    mail = ("C: MAIL FROM:<a@example.org> BY=120;R", *MAILED[1:], "S: 250 taken") if is_taken else ()
    async with ScriptedPeer(*extensions(announced), *mail, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        sending = client.send(MESSAGE, **ARGUMENTS, options=MailOptions(deliver_by=DeliverBy(120)))
        if is_taken:
            assert (await sending).delivery is Delivery.ACCEPTED
        else:
            with pytest.raises(NotSupported, match="240"):
                await sending


@pytest.mark.parametrize("value", ["BINARYMIME", "binarymime"])
async def test_no_data_is_said_for_a_body_that_goes_in_chunks_alone(value: str) -> None:
    async with (
        ScriptedPeer(*extensions("8BITMIME", "BINARYMIME", "CHUNKING"), *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        with pytest.raises(MailwireError) as caught:
            await client.send(MESSAGE, **ARGUMENTS, options=MailOptions(parameters={"BODY": value}), use_chunking=False)
        assert caught.value.delivery is Delivery.NOT_SENT


@pytest.mark.parametrize(
    ("wish", "extension"),
    [
        ({"options": MailOptions(ret="FULL")}, "DSN"),
        ({"options": MailOptions(priority=1)}, "MT-PRIORITY"),
        ({"recipient_options": RecipientOptions(notify="NEVER")}, "DSN"),
    ],
)
async def test_a_wish_that_is_not_granted_is_an_error_and_the_session_goes_on(wish: Any, extension: str) -> None:
    async with MailServer(ACCOUNTS, policy=Policy(extensions=["PIPELINING"])) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            with pytest.raises(NotSupported) as caught:
                await client.send(MESSAGE, **ARGUMENTS, **wish)
            assert (caught.value.extension, caught.value.delivery) == (extension, Delivery.NOT_SENT)
            assert words(caught.value.receipt) == [Delivery.NOT_SENT]
            await client.send(MESSAGE, **ARGUMENTS)
        assert len(server.messages("b")) == 1


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_requiretls_wants_tls_with_a_server_that_has_proved_its_name(tls: Any) -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=tls == "implicit") as server:
        sending = send_to(server, options=MailOptions(require_tls=True), settings={"tls": tls})
        if tls == "none":
            with pytest.raises(SecurityError, match="REQUIRETLS needs TLS"):
                await sending
            assert server.messages("b") == ()
        else:
            await sending
            (message,) = server.messages("b")
            assert message.envelope is not None
            assert "REQUIRETLS" in message.envelope.parameters


async def test_requiretls_is_nothing_to_ask_of_a_server_that_proves_nothing() -> None:
    context = client_context()
    context.check_hostname = False
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True) as server:
        with pytest.raises(SecurityError, match="REQUIRETLS"):
            await send_to(
                server, options=MailOptions(require_tls=True), settings={"tls": "implicit", "tls_context": context}
            )
    assert server.messages("b") == ()


# In parts


MANY = [f"user{number}@example.org" for number in range(25)]


def crowd(**policy: Any) -> MailServer:
    return MailServer([Account("crowd", "", tuple(MANY)), *ACCOUNTS], policy=Policy(**policy))


async def test_a_mail_for_more_than_a_server_takes_at_a_time_goes_in_parts() -> None:
    async with crowd(recipient_limit=10) as server:
        receipt = await send_to(server, recipients=[*MANY[:3], "nobody@example.org", *MANY[3:]])
        messages = server.messages("crowd")
    assert [len(message.envelope.recipients) for message in messages if message.envelope] == [9, 10, 6]
    assert [message.content for message in messages] == [MESSAGE] * 3
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == tuple(MANY)
    assert [entry.address for entry in receipt.refused] == ["nobody@example.org"]
    assert [entry.address for entry in receipt.recipients][:4] == [*MANY[:3], "nobody@example.org"]
    assert len(server.smtp_sessions) == 1


async def test_a_session_that_has_come_to_its_limits_is_left_for_another() -> None:
    async with crowd(recipient_limit=10, message_limit=2) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            await client.send(MESSAGE, **{**ARGUMENTS, "recipients": MANY})
            await client.send(MESSAGE, **ARGUMENTS)
            await client.send(MESSAGE, **ARGUMENTS)
        assert len(server.messages("crowd")) == 3
        assert len(server.messages("b")) == 2
    mails = [[line for line in session.commands if line.startswith(b"MAIL")] for session in server.smtp_sessions]
    assert [len(of_session) for of_session in mails] == [2, 2, 1]
    assert [session.commands[-1] for session in server.smtp_sessions] == [b"QUIT"] * 3


async def test_the_domains_of_a_session_are_counted() -> None:
    async with crowd(recipient_domain_limit=1) as server:
        recipients = ["b@example.org", "c@example.net", "d@example.org"]
        receipt = await send_to(server, recipients=recipients)
        assert receipt.accepted == tuple(recipients)
        envelopes = [server.messages(user)[0].envelope for user in "bc"]
    assert [envelope.recipients for envelope in envelopes if envelope] == [
        ("b@example.org", "d@example.org"),
        ("c@example.net",),
    ]


async def test_the_domains_of_a_session_are_counted_over_all_its_mails() -> None:
    async with crowd(recipient_domain_limit=1) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            for recipient in ("b@example.org", "c@example.org", "b@example.net", "c@example.NET", "b@example.org"):
                receipt = await client.send(MESSAGE, sender="a@example.org", recipients=recipient)
                assert receipt.accepted == (recipient,)
        sessions = [[line[:4] for line in session.commands].count(b"MAIL") for session in server.smtp_sessions]
    assert sessions == [2, 2, 1]


def once() -> Iterator[bytes]:
    yield MESSAGE


async def once_later() -> AsyncIterator[bytes]:
    yield MESSAGE


async def test_what_cannot_be_parted_is_not_begun() -> None:
    refusals: list[NotSupported] = []
    async with crowd(recipient_limit=10) as server:
        for message in (once(), Mail("a", 1, "u", len(MESSAGE), "k", once_later())):
            with pytest.raises(NotSupported, match=r", and the message can be read but once$") as read_once:
                await send_to(server, message, recipients=MANY)
            refusals.append(read_once.value)
        with pytest.raises(NotSupported, match=r", and the mail is for all or nobody$") as all_or_nobody:
            await send_to(server, recipients=MANY, on_refused="abort")
        with pytest.raises(NotSupported, match=r", and the mail is for all or nobody$"):
            await send_to(server, recipients=MANY[:11], on_refused="abort")
        assert server.messages("crowd") == ()
    for error in (*refusals, all_or_nobody.value):
        assert str(error).startswith("the server does not take 25 recipients in one transaction (RFC 9422), ")
        assert (error.extension, error.delivery) == ("LIMITS", Delivery.NOT_SENT)
        assert words(error.receipt) == [Delivery.NOT_SENT] * 25


async def test_a_part_of_which_everybody_is_refused_does_not_keep_the_others_back() -> None:
    async with crowd(recipient_limit=2) as server:
        recipients = [*MANY[:2], "no@example.org", "nobody@example.org", MANY[2]]
        receipt = await send_to(server, recipients=recipients)
        assert receipt.delivery is Delivery.ACCEPTED
        assert receipt.accepted == tuple(MANY[:3])
        with pytest.raises(RecipientsRefused, match=r"^every recipient was refused: ") as caught:
            await send_to(server, recipients=["x@example.org", "y@example.org", "z@example.org"])
    assert words(caught.value.receipt) == [Delivery.REFUSED] * 3


LIMITED = extensions("LIMITS RCPTMAX=1")
RCPT_C = "C: RCPT TO:<c@example.org>"
BOTH: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org", "d@example.org"]}
PART: tuple[Step, ...] = (*OPENED, "C: DATA", "S: 354 go", MAIL_DATA, "S: 250 taken")


@pytest.mark.parametrize(
    ("script", "error", "delivery", "expected"),
    [
        (
            (*PART, MAIL, "S: 452 enough", STALL),
            SenderRefused,
            Delivery.ACCEPTED,
            [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT],
        ),
        (
            (*PART[:-1], "S: 554 spam", STALL),
            DataRefused,
            Delivery.REFUSED,
            [Delivery.REFUSED, Delivery.NOT_SENT, Delivery.NOT_SENT],
        ),
        (
            (*PART, MAIL, "S: 250 ok", RCPT_C, FIN),
            ConnectionLost,
            Delivery.ACCEPTED,
            [Delivery.ACCEPTED, Delivery.NOT_SENT, Delivery.NOT_SENT],
        ),
        (
            (*PART, MAIL, "S: 250 ok", RCPT_C, "S: 250 ok", "C: DATA", "S: 354 go", MAIL_DATA, FIN),
            ConnectionLost,
            Delivery.UNKNOWN,
            [Delivery.ACCEPTED, Delivery.UNKNOWN, Delivery.NOT_SENT],
        ),
        (
            (*PART, MAIL, "S: 250 ok", RCPT_C, "S: 421 closing", FIN),
            RecipientsRefused,
            Delivery.ACCEPTED,
            [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT],
        ),
    ],
)
async def test_a_part_that_fails_leaves_the_truth_about_each_recipient(
    script: tuple[Step, ...], error: type[Exception], delivery: Delivery, expected: list[Delivery]
) -> None:
    async with ScriptedPeer(*LIMITED, *script) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(error) as caught:
            await client.send(MESSAGE, **BOTH)
        client.abort()
    assert isinstance(caught.value, mailwire.MailwireError)
    assert caught.value.delivery is delivery
    assert words(caught.value.receipt) == expected
    assert client.last_receipt == caught.value.receipt
    # In parts: another attempt at the whole would bring the mail twice to whom it has come to.
    assert not caught.value.is_transient


def limited(*limits: str) -> Dialogue:
    connection = at(State.INITIATION)
    ask(connection, Ehlo("c"), "250-hello", f"250 LIMITS {' '.join(limits)}")
    return Dialogue(cast(Any, Unheard()), connection)


def parts_of(sending: Sending, dialogue: Dialogue) -> Batch:
    assert sending.prepare_at_once(dialogue)
    batch = sending.next_batch(dialogue)
    assert batch is not None
    return batch


def test_a_mail_that_has_gone_between_two_parts_counts_as_well() -> None:
    dialogue, sending = limited("RCPTMAX=1", "MAILMAX=3"), Sending(Mailing(MESSAGE, **BOTH))
    first = parts_of(sending, dialogue)
    dialogue.transactions += 1
    sending.begin(dialogue, first)
    assert parts_of(sending, dialogue) == Batch((1,))
    dialogue.transactions += 1
    assert parts_of(sending, dialogue) == Batch((1,), begins_session=True)
    assert parts_of(sending, limited("RCPTMAX=2", "MAILMAX=1")) == Batch((1, 2))


def test_a_part_that_is_taken_back_comes_first_again() -> None:
    dialogue, sending = limited("RCPTMAX=2"), Sending(Mailing(MESSAGE, **BOTH))
    passage = sending.begin(dialogue, parts_of(sending, dialogue))
    dialogue.connection.discard_queued()
    assert parts_of(sending, dialogue) == Batch((2,))
    sending.take_back(passage)
    assert parts_of(sending, dialogue) == Batch((0, 1))


@pytest.mark.parametrize("final", ["421 closing", "451 later"])
async def test_a_reply_that_leaves_the_message_unknown_is_no_reason_to_try_again(final: str) -> None:
    async with ScriptedPeer(*extensions("HELP"), *PART[:-1], f"S: {final}", FIN) as peer:
        with pytest.raises(DataRefused, match=final) as caught:
            await mailwire.send(MESSAGE, peer.endpoint(), **ARGUMENTS)
    is_unknown = final.startswith("421")
    assert caught.value.delivery is (Delivery.UNKNOWN if is_unknown else Delivery.REFUSED)
    assert caught.value.is_transient is not is_unknown
    assert ("may or may not have" in str(caught.value)) is is_unknown
    assert ("was refused" in str(caught.value)) is not is_unknown


async def test_a_server_that_is_not_there_any_more_leaves_the_truth_too() -> None:
    async with ScriptedPeer(*extensions("LIMITS MAILMAX=1 RCPTMAX=1"), *PART, *QUIT) as peer:
        ways = iter([peer.connect])

        async def connect() -> socket.socket:
            for way in ways:
                return await way()
            raise ConnectionRefusedError("nobody is there any more")

        client = SMTPClient(peer.endpoint(connect=connect))
        await client.connect()
        with pytest.raises(ConnectionFailed) as caught:
            await client.send(MESSAGE, **BOTH)
        assert not client.is_connected
    assert words(caught.value.receipt) == [Delivery.ACCEPTED, Delivery.NOT_SENT, Delivery.NOT_SENT]


# From anywhere


async def blocks(*pieces: bytes | Exception) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        if isinstance(piece, Exception):
            raise piece
        yield piece


@pytest.mark.parametrize("offered", [EXTENSIONS, ("PIPELINING",), ()])
async def test_a_message_may_come_from_anywhere(offered: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "message.eml"
    path.write_bytes(LARGE)
    async with MailServer(ACCOUNTS, policy=Policy(extensions=offered)) as server:
        with path.open("rb") as file:
            for message in (
                path,
                file,
                LARGE.decode(),
                blocks(LARGE[:1000], LARGE[1000:-1], LARGE[-1:]),
                iter([LARGE[:7], LARGE[7:]]),
            ):
                receipt = await send_to(server, message)
                assert receipt.octets == len(LARGE)
        assert [stored.content for stored in server.messages("b")] == [LARGE] * 5


@pytest.mark.parametrize("offered", [("CHUNKING", "PIPELINING"), ("CHUNKING",)])
async def test_chunks_may_be_answered_while_the_source_is_asked_for_more(offered: tuple[str, ...]) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 200_000):
            await drain_events()
            yield LARGE[start : start + 200_000]

    async with MailServer(ACCOUNTS, policy=Policy(extensions=offered)) as server:
        assert (await send_to(server, slow())).delivery is Delivery.ACCEPTED
        assert [stored.content for stored in server.messages("b")] == [LARGE]


@pytest.mark.parametrize(
    ("leave", "kind"),
    [
        (("S: 421 4.4.2 too slow", FIN), ServiceNotAvailable),
        ((FIN,), ConnectionLost),
        (("S: 250 ok",), RemoteProtocolError),
    ],
    ids=["421", "end", "unasked"],
)
@pytest.mark.parametrize("chunks", [0, 1])
async def test_a_server_that_speaks_unasked_between_two_chunks_ends_the_mail(
    leave: tuple[Step, ...], kind: type[MailwireError], chunks: int
) -> None:
    chunk = LARGE[: 128 * 1024]

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(chunks + 1):
            yield chunk
        await drain_events()
        for _ in range(3):
            yield chunk

    sent: tuple[Step, ...] = (f"C: BDAT {len(chunk)}", Hear(len(chunk)), "S: 250 ok") * chunks
    async with ScriptedPeer(*extensions("CHUNKING"), *OPENED, *sent, *leave) as peer:
        with pytest.raises(kind) as failure:
            await mailwire.send(slow(), peer.endpoint(), **ARGUMENTS)
        assert failure.value.delivery is Delivery.NOT_SENT
        assert words(failure.value.receipt) == [Delivery.NOT_SENT]


async def test_progress_is_told_block_by_block() -> None:
    told: list[tuple[int, int | None]] = []
    async with MailServer(ACCOUNTS) as server:
        await send_to(server, LARGE, progress=lambda done, total: told.append((done, total)))
        assert told[-1] == (len(LARGE), len(LARGE))
        assert len(told) > 2
        assert told == sorted(told)
        told.clear()
        receipt = await send_to(server, blocks(LARGE), progress=lambda done, total: told.append((done, total)))
        assert list(receipt.timings) == ["connection", "envelope", "message", "verdict"]
        assert told[-1] == (len(LARGE), None)


@pytest.mark.parametrize("offered", [("CHUNKING",), ()])
@pytest.mark.parametrize("before", [(), (MESSAGE,), (LARGE,)], ids=["nothing", "little", "much"])
async def test_a_source_that_fails_breaks_the_mail_off(offered: tuple[str, ...], before: tuple[bytes, ...]) -> None:
    async with MailServer(ACCOUNTS, policy=Policy(extensions=offered)) as server:
        client = SMTPClient(endpoint_of(server))
        await client.connect()
        with pytest.raises(SourceFailed) as caught:
            await client.send(blocks(*before, ZeroDivisionError("what")), **ARGUMENTS)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert not client.is_connected
        await server.wait_idle()
        assert server.messages("b") == ()


async def test_a_progress_that_raises_breaks_the_mail_off() -> None:
    def stop(done: int, _: int | None) -> None:
        if done > 100_000:
            raise ZeroDivisionError("enough")

    async with MailServer(ACCOUNTS) as server:
        client = SMTPClient(endpoint_of(server))
        await client.connect()
        with pytest.raises(ZeroDivisionError, match="enough"):
            await client.send(LARGE, **ARGUMENTS, progress=stop)
        assert client.last_receipt is not None
        assert client.last_receipt.delivery is Delivery.NOT_SENT
        assert not client.is_connected
        await server.wait_idle()
        assert server.messages("b") == ()


async def test_what_may_not_be_sent_and_shows_late_breaks_the_mail_off() -> None:
    async with MailServer(ACCOUNTS) as server:
        with pytest.raises(InvalidMessage, match="NUL") as caught:
            await send_to(server, blocks(LARGE, b"\0", LARGE))
        assert caught.value.delivery is Delivery.NOT_SENT
        await server.wait_idle()
        assert server.messages("b") == ()


async def test_a_source_that_is_cancelled_breaks_the_mail_off() -> None:
    async def for_ever() -> AsyncIterator[bytes]:
        yield LARGE
        await asyncio.Event().wait()

    async with MailServer(ACCOUNTS) as server:
        client = SMTPClient(endpoint_of(server))
        await client.connect()
        sending = asyncio.create_task(client.send(for_ever(), **ARGUMENTS))
        await drain_events()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert client.last_receipt is not None
        assert client.last_receipt.delivery is Delivery.NOT_SENT
        assert not client.is_connected
        await server.wait_idle()
        assert server.messages("b") == ()


@pytest.mark.parametrize("keyword", ["CHUNKING", "SIZE"])
async def test_a_source_is_asked_for_no_more_than_the_server_takes_in(keyword: str) -> None:
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"0123456789abcde\r\n" * 4096

    script = ("S: 220 mx", "C: EHLO ...", "S: 250-mx", f"S: 250 {keyword}", *OPENED)
    behind: tuple[Step, ...] = ("C: BDAT ...",) if keyword == "CHUNKING" else ("C: DATA", "S: 354 go")
    async with ScriptedPeer(*script, *behind, NO_READING) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        sending = asyncio.create_task(client.send(endless(), **ARGUMENTS))
        await peer.rest()
        assert not sending.done()
        before = asked
        await drain_events()
        assert asked == before < 40
        sending.cancel()
        await asyncio.wait([sending])


@pytest.mark.parametrize("end", [(FIN, LISTEN), (LISTEN,), (NO_READING,)])
@pytest.mark.parametrize("verdict", ["552 big", "421 closing"])
async def test_a_refusal_is_heard_while_a_source_goes_on(verdict: str, end: tuple[Step, ...]) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"0123456789abcde\r\n" * 4096

    async with ScriptedPeer(
        *extensions("8BITMIME"),
        *(MAIL + " BODY=8BITMIME", *OPENED[1:], "C: DATA", "S: 354 go", Hear(100_000), f"S: {verdict}", *end),
    ) as peer:
        with pytest.raises(DataRefused, match=verdict) as caught:
            await mailwire.send(endless(), peer.endpoint(), **ARGUMENTS)
    assert caught.value.delivery is Delivery.REFUSED


@pytest.mark.parametrize("tls", ["none", "implicit"])
@pytest.mark.parametrize(
    "script",
    [
        (*extensions("HELP"), *OPENED, "C: DATA", "S: 354 go", Hear(65_536)),
        (*extensions("CHUNKING"), *OPENED, "C: BDAT 393216", Hear(65_536)),
    ],
    ids=["text", "chunks"],
)
async def test_32_megabytes_are_not_sent_if_they_are_refused_at_once(tls: str, script: tuple[Step, ...]) -> None:
    message = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 1_800_000
    opening = (Tls(),) if tls == "implicit" else ()
    told = 0

    def progress(octets: int, _: int | None) -> None:
        nonlocal told
        told = octets

    async with ScriptedPeer(*opening, *script, "S: 552 5.3.4 too big", NO_READING) as peer:
        # A server that reads no more answers neither RSET nor a close_notify.
        endpoint = peer.endpoint(tls=tls, timeouts=Timeouts(reset=0.01, close=0.01))
        with pytest.raises(DataRefused, match="too big") as caught:
            await mailwire.send(message, endpoint, **ARGUMENTS, progress=progress)
    assert caught.value.delivery is Delivery.REFUSED
    assert told < len(message) // 4


@pytest.mark.parametrize(
    "answers",
    [
        ("S: 550 no", "S: 250 ok", "S: 503 no", "C: RSET"),
        ("S: 550 no", "S: 503 no", "S: 354 go", "C: .", "C: RSET", "S: 250 ok"),
    ],
)
@pytest.mark.parametrize("call", ["send", "send_all"])
async def test_what_was_refused_waits_no_longer_for_rset_than_for_that(call: str, answers: tuple[Step, ...]) -> None:
    script = (*extensions("PIPELINING"), MAIL, RCPT, "C: DATA", *answers, STALL)
    async with (
        ScriptedPeer(*script) as peer,
        SMTPClient(peer.endpoint(connect=for_one(peer), timeouts=Timeouts(reset=0.01))) as client,
    ):
        error: MailwireError | None
        if call == "send":
            with pytest.raises(SenderRefused) as caught:
                await client.send(MESSAGE, **ARGUMENTS)
            error = caught.value
        else:
            (error,) = [result.error async for result in client.send_all([MESSAGE], **ARGUMENTS)]
        assert not client.is_connected
    assert isinstance(error, SenderRefused)
    assert (error.reply.code, error.delivery) == (550, Delivery.REFUSED)


REFUSALS: dict[str, tuple[Step, ...]] = {
    "recipients": ("C: DATA", "S: 250 ok", "S: 451 4.7.1 greylisted", "S: 503 nobody"),
    "sender": ("C: DATA", "S: 451 later", "S: 250 ok", "S: 503 no"),
    "chunk": ("C: BDAT 21 LAST", Hear(21), "S: 250 ok", "S: 250 ok", "S: 451 full"),
}


@pytest.mark.parametrize(
    "rest",
    [
        ("C: RSET", "S: 221 too many errors, bye", FIN),
        ("C: RSET", "S: 220 hi"),
        ("C: RSET", "S: 354 go"),
        ("C: RSET", "S: hello"),
        ("S: 500 what?",),  # before RSET leaves
    ],
    ids=str,
)
@pytest.mark.parametrize("what", REFUSALS)
@pytest.mark.parametrize("call", ["send", "pool.send", "pool.send_all"])
async def test_what_was_refused_is_told_whatever_answers_rset(call: str, what: str, rest: tuple[Step, ...]) -> None:
    keywords = ("PIPELINING", "CHUNKING") if what == "chunk" else ("PIPELINING",)
    script = (*extensions(*keywords), MAIL, RCPT, *REFUSALS[what], *rest)
    async with ScriptedPeer(*script) as peer:
        endpoint = peer.endpoint(connect=for_one(peer), use_chunking="eager" if what == "chunk" else False)
        async with SMTPPool(endpoint) as pool:
            try:
                if call == "pool.send_all":
                    (error,) = [result.error async for result in pool.send_all([MESSAGE], **ARGUMENTS)]
                else:
                    await (
                        pool.send(MESSAGE, **ARGUMENTS)
                        if call == "pool.send"
                        else mailwire.send(MESSAGE, endpoint, **ARGUMENTS)
                    )
                    error = None
            except MailwireError as raised:
                error = raised
    assert isinstance(error, (RecipientsRefused, SenderRefused, DataRefused))
    assert (error.reply.code, error.is_transient, error.delivery) == (451, True, Delivery.REFUSED)


async def test_what_answers_a_command_of_the_mail_wrongly_is_told_though_the_sender_was_refused() -> None:
    script = (*extensions("PIPELINING"), MAIL, RCPT, "C: DATA", "S: 550 no", "S: 221 bye")
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(RemoteProtocolError, match="expected a final reply to RCPT") as caught:
            await mailwire.send(MESSAGE, peer.endpoint(use_chunking=False), **ARGUMENTS)
    assert caught.value.delivery is Delivery.REFUSED


async def test_where_nothing_is_unanswered_and_nobody_was_refused_what_is_wrong_is_told() -> None:
    script = (*extensions("PIPELINING", "CHUNKING"), MAIL, RCPT, "S: 250 ok", "S: 250 ok", "S: 250 more")
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(RemoteProtocolError, match="expected nothing from the server") as caught:
            await mailwire.send(MESSAGE, peer.endpoint(use_chunking=True), **ARGUMENTS)
    assert caught.value.delivery is Delivery.NOT_SENT


class Cutter(threading.Thread):
    """A server in a thread of its own, which refuses the message and cuts the connection when it is told to."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._now, self._done = threading.Event(), threading.Event()

    def cut(self) -> None:
        """Refuse and cut; only this thread has its turn meanwhile."""
        self._now.set()
        assert self._done.wait(10)

    def run(self) -> None:
        with self._listener:
            end, _ = self._listener.accept()
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is said leaves before the connection is cut
        if self._context is not None:
            end = self._context.wrap_socket(end, server_side=True)
        with end, end.makefile("rb") as lines:
            end.sendall(b"220 mx\r\n")
            for verb in ("EHLO", "MAIL", "RCPT", "DATA"):
                assert lines.readline().startswith(verb.encode())
                end.sendall(b"354 go\r\n" if verb == "DATA" else b"250 ok\r\n")
            self._now.wait(10)
            end.sendall(b"552 5.3.4 too big\r\n")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._done.set()


@pytest.mark.parametrize("more", [0, 10])
@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_refusal_is_heard_though_the_connection_is_cut_right_behind_it(tls: Any, more: int) -> None:
    cutter = Cutter(server_context() if tls == "implicit" else None)
    cutter.start()

    async def source() -> AsyncIterator[bytes]:
        yield b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 2000
        cutter.cut()
        for _ in range(more):
            yield b"0123456789abcde\r\n" * 8000

    endpoint = Endpoint("localhost", cutter.port, tls=tls, tls_context=client_context() if tls != "none" else None)
    with pytest.raises(DataRefused, match="too big") as caught:
        await mailwire.send(source(), endpoint, **ARGUMENTS)
    assert caught.value.delivery is Delivery.REFUSED
    await asyncio.to_thread(cutter.join)


# Again


async def test_a_mailing_serves_for_every_attempt() -> None:
    message = mailwire.compose(sender="a@example.org", to="b@example.org", text="hello", html="<p>hello")
    mailing = Mailing(message, options=MailOptions(ret="FULL"))
    async with MailServer(ACCOUNTS) as first, MailServer(ACCOUNTS) as second:
        for server in (first, second):
            receipt = await mailwire.send(mailing, endpoint_of(server))
            assert receipt.accepted == ("b@example.org",)
        assert first.messages("b")[0].content == second.messages("b")[0].content
        async with SMTPClient(endpoint_of(first)) as client:
            await client.send(mailing)
            with pytest.raises(ValueError, match="says by itself"):
                await client.send(mailing, sender="x@example.org")
        assert len(first.messages("b")) == 2


async def test_before_a_connection_is_made_nobody_has_the_mail() -> None:
    async def connect() -> socket.socket:
        raise ConnectionRefusedError("nobody is there")

    with pytest.raises(ConnectionFailed) as caught:
        await mailwire.send(MESSAGE, Endpoint("localhost", connect=connect), **BOTH)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert words(caught.value.receipt) == [Delivery.NOT_SENT] * 3


async def test_replies_of_any_shape_in_any_packets_are_understood_in_chunks() -> None:
    table = {**SMTP_ANSWERS, "EHLO": "250-mx\n250-CHUNKING\n250 PIPELINING"}
    for size in (1, 2, 3, 7):
        script = (
            *GREETED,
            *("S: 250-mx", "S: 250-CHUNKING", "S: 250 PIPELINING"),
            MAIL,
            RCPT,
            "S: 250 ok",
            "S: 250 ok",
        )
        async with ScriptedPeer(*script, *CHUNKED, Answers(table), packet_size=size) as peer:
            receipt = await mailwire.send(MESSAGE, peer.endpoint(), **ARGUMENTS)
        assert receipt.delivery is Delivery.ACCEPTED


async def test_a_421_in_the_middle_that_refuses_nothing_is_told() -> None:
    recipients = ["b@example.org", "c@example.org"]
    async with ScriptedPeer(*extensions(), *OPENED, RCPT_C, "S: 421 closing", FIN) as peer:
        with pytest.raises(ServiceNotAvailable, match=r"^RCPT TO:<c@example\.org> was refused: 421 closing") as caught:
            await mailwire.send(MESSAGE, peer.endpoint(), sender="a@example.org", recipients=recipients)
    assert (caught.value.command, caught.value.reply) == ("RCPT TO:<c@example.org>", Reply(421, (b"closing",)))
    assert caught.value.delivery is Delivery.NOT_SENT
    assert words(caught.value.receipt) == [Delivery.NOT_SENT, Delivery.REFUSED]


async def test_an_error_keeps_no_mail_beyond_its_time() -> None:
    # Nor does the one keep the other, so that both would stay until the collector finds them.
    refusing = Answers({**SMTP_ANSWERS, "RCPT": "550 no"})
    gone: list[weakref.ref[MailwireError]] = []
    async with (
        ScriptedPeer("S: 220 mx", refusing, LISTEN) as first,
        ScriptedPeer("S: 220 mx", refusing, LISTEN) as second,
    ):
        client = SMTPClient(first.endpoint())
        await client.connect()
        pool = SMTPPool(second.endpoint())
        for send in (client.send, pool.send):
            for message in (MESSAGE, io.BytesIO(MESSAGE)):
                try:
                    await send(message, **ARGUMENTS)
                except RecipientsRefused as error:
                    gone.append(weakref.ref(error))
        client.abort()
        pool.abort()
    assert [known() for known in gone] == [None] * 4
