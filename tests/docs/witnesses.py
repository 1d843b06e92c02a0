"""Witnesses: what an example has done, where it does not show that by itself."""

import asyncio
import base64
import email
import email.policy
import importlib
import io
import json
import logging
import re
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any, Final

import pytest

import mailwire
from mailwire import AuthenticationFailed, Delivery, InvalidMessage, RecipientsRefused, TLSFailed
from mailwire.maildrop import CautionKind
from mailwire.testing import Cut, HungUp, MailServer, Policy, Replaced, client_context, server_context
from tests.docs.blocks import Block
from tests.docs.loopback import ACCOUNTS, REPORT, World

__all__ = ["WITNESSES", "witnesses_of"]

Witness = Callable[[World, dict[str, Any]], Awaitable[None]]

WITNESSES: Final[dict[tuple[str, str], Witness]] = {}
"""By the page, and words that are in one of its blocks alone."""


def witnesses_of(block: Block) -> Iterator[Witness]:
    """Yield the witnesses of an example, of which most have none."""
    for (place, phrase), witness in WITNESSES.items():
        if place == block.place and phrase in block.text:
            yield witness


def sees(place: str, phrase: str) -> Callable[[Witness], Witness]:
    def noted(witness: Witness) -> Witness:
        WITNESSES[place, phrase] = witness
        return witness

    return noted


# The README


@sees("README.md", "mailwire.send(")
async def the_mail_was_sent(world: World, _: dict[str, Any]) -> None:
    (mail,) = world.arrived("b")
    assert mail.content.endswith(b"\r\n\r\nHello world\r\n")
    assert world.printed == f"{Delivery.ACCEPTED} ('b@example.org',) ()\n"


@sees("README.md", "mailwire.retrieve(")
async def the_mail_is_in_the_maildir_and_still_on_the_server(world: World, _: dict[str, Any]) -> None:
    (stored,) = Path("Mail/new").iterdir()
    (on_server,) = world.implicit.messages("b")
    assert stored.read_bytes() == on_server.content
    assert Path("state.db").exists()
    assert "1 stored" in world.printed


@sees("README.md", "smtp.Connection()")
async def the_machine_has_learnt_what_the_server_offers(world: World, namespace: dict[str, Any]) -> None:
    assert "STARTTLS" in namespace["connection"].extensions
    assert world.printed.count("ReplyReceived") == 2


# Sending


@sees("docs/howto/compose-and-send.md", "X-Campaign")
async def the_message_came_with_all_its_parts(world: World, namespace: dict[str, Any]) -> None:
    (mail,) = world.arrived("b")
    message = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert message["X-Campaign"] == "spring"
    assert message["Bcc"] is None
    report, table = message.iter_attachments()
    assert report.get_content() == REPORT
    assert (table.get_filename(), table.get_payload(decode=True)) == ("table.csv", b"a;b\n1;2\n")
    related = next(part for part in message.walk() if part.get_content_type() == "multipart/related")
    assert [part["Content-ID"] for part in related.iter_attachments()] == ["<logo@example.org>"]


@sees("docs/howto/compose-and-send.md", "range(100_000)")
async def the_file_and_what_was_produced_arrived(world: World, _: dict[str, Any]) -> None:
    file, produced = world.arrived("b")
    assert file.content == Path("message.eml").read_bytes()
    numbers = b"".join(b"%d\r\n" % number for number in range(100_000))
    assert produced.content == b"Subject: numbers\r\n\r\n" + numbers


@sees("docs/howto/compose-and-send.md", "in_reply_to")
async def the_answer_refers_to_what_it_answers(_: World, namespace: dict[str, Any]) -> None:
    assert namespace["answer"]["In-Reply-To"] == namespace["answered"]["Message-ID"]
    assert namespace["answer"]["References"] == namespace["answered"]["Message-ID"]


@sees("docs/howto/compose-and-send.md", "fold_duplicates")
async def who_was_given_twice_got_it_once(world: World, _: dict[str, Any]) -> None:
    (mail,) = world.arrived("b")
    assert mail.content == b"Subject: x\r\n\r\nhello\r\n"


@sees("docs/howto/know-who-has-it.md", "receipt.queue_id")
async def the_receipt_said_who_was_refused(world: World, _: dict[str, Any]) -> None:
    assert len(world.arrived("b")) == 1
    assert "('b@example.org',)\nnobody@example.org 550" in world.printed


@sees("docs/howto/know-who-has-it.md", "on_refused")
async def nobody_got_it(world: World, _: dict[str, Any]) -> None:
    assert world.arrived("b") == ()
    assert {b"RCPT TO:<b@example.org>", b"RCPT TO:<nobody@example.org>"} <= set(world.commands())
    assert [line.split()[0] for line in world.printed.splitlines()] == ["b@example.org:", "nobody@example.org:"]


@sees("docs/howto/know-who-has-it.md", "send_patiently")
async def it_is_tried_again_where_that_may_help(world: World, namespace: dict[str, Any]) -> None:
    assert world.printed.startswith("b@example.org: accepted (250")
    assert len(world.arrived("b")) == 1
    patiently, server, [message] = namespace["send_patiently"], world.implicit, namespace["messages"]
    fine = f"smtps://a:secret@localhost:{server.smtp_port}"
    server.inject(Replaced("RCPT", b"450 4.2.1 later\r\n"))
    (entry,), error = await patiently(message, fine, pauses=(0, 0))
    assert (entry.delivery, error) == (Delivery.ACCEPTED, None)
    server.inject(Replaced("RCPT", b"450 4.2.1 later\r\n"))
    (entry,), error = await patiently(message, fine, pauses=())
    assert (entry.is_transient, type(error)) == (True, RecipientsRefused)
    for hopeless in (fine.replace("secret", "wrong"), f"smtps://localhost:{world.upgradable.smtp_port}"):
        (entry,), error = await patiently(message, hopeless, pauses=(1000,))
        assert entry.delivery is Delivery.NOT_SENT
        assert isinstance(error, AuthenticationFailed | TLSFailed)
    assert len(world.arrived("b")) == 2
    with pytest.raises(InvalidMessage):
        await patiently(b"Subject: x\r\n\r\n", fine, pauses=(1000,))  # for nobody


@sees("docs/howto/know-who-has-it.md", "is_put_off")
async def it_is_tried_again_where_the_login_or_tls_was_put_off(world: World, namespace: dict[str, Any]) -> None:
    patiently, server, [message] = namespace["send_patiently"], world.upgradable, namespace["messages"]
    fine = mailwire.Endpoint(
        "localhost",
        server.smtp_port,
        tls="starttls",
        tls_context=client_context(),
        auth=mailwire.Password("a", "secret"),
    )
    for step in ("AUTH", "STARTTLS"):
        server.inject(Replaced(step, b"454 4.7.0 later\r\n"))
        (entry,), error = await patiently(message, fine, pauses=(0,))
        assert (entry.delivery, error) == (Delivery.ACCEPTED, None)


@sees("docs/howto/know-who-has-it.md", "HOPELESS")
async def nobody_is_lost_between_the_attempts(world: World, namespace: dict[str, Any]) -> None:
    patiently, server, later = namespace["send_patiently"], world.implicit, b"452 4.2.1 later\r\n"
    recipients = ["b@example.org", "nobody@example.org", "d@example.org"]
    named = [*recipients, "b@example.org"]
    message = mailwire.compose(sender="a@example.org", to=named, subject="Hello", text="Hello world")
    fine = f"smtps://a:secret@localhost:{server.smtp_port}"
    server.inject(Replaced("RCPT", later, number=3))
    entries, error = await patiently(message, fine, pauses=(0, 0))
    assert [entry.address for entry in entries] == recipients
    assert [entry.delivery for entry in entries] == [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.ACCEPTED]
    assert error is None
    # One whom the last attempt was for alone, and who is refused by it for good.
    server.inject(Replaced("RCPT", later, number=3))
    server.inject(Replaced("RCPT", b"550 5.1.1 no such user\r\n"))
    entries, error = await patiently(message, fine, pauses=(0, 0))
    assert [entry.delivery for entry in entries] == [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.REFUSED]
    assert isinstance(error, RecipientsRefused)
    # The mail goes out in parts, and of the first nobody can tell what became of it.
    settings: dict[str, Any] = {
        "policy": Policy(recipient_limit=1),
        "tls_context": server_context(),
        "implicit_tls": True,
    }
    async with MailServer(ACCOUNTS, **settings) as server:
        server.inject(HungUp("."))
        entries, error = await patiently(message, f"smtps://a:secret@localhost:{server.smtp_port}", pauses=(0, 0))
    assert [entry.delivery for entry in entries] == [Delivery.UNKNOWN, Delivery.REFUSED, Delivery.ACCEPTED]
    assert error is None


@sees("docs/howto/know-who-has-it.md", "mailing.to(")
async def both_got_it_at_once_and_once(world: World, namespace: dict[str, Any]) -> None:
    assert len(world.arrived("b")) == 1
    assert namespace["outcome"].accepted == ("b@example.org", "c@example.org")
    assert len(namespace["mailing"].envelope.recipients) == 2


@sees("docs/howto/know-who-has-it.md", "error_to_dict")
async def the_error_came_back_from_json(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["error"].delivery is Delivery.NOT_SENT
    assert json.loads(namespace["kept"])["kind"] == "AuthenticationFailed"


@sees("docs/howto/ask-for-reports.md", 'ret="HDRS"')
async def the_reports_were_asked_for(world: World, _: dict[str, Any]) -> None:
    (mail,) = (command for command in world.commands() if command.startswith(b"MAIL"))
    (recipient,) = (command for command in world.commands() if command.startswith(b"RCPT"))
    assert b" RET=HDRS ENVID=order-4711" in mail
    assert b" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;sales@example.org" in recipient


@sees("docs/howto/ask-for-reports.md", "hold_for")
async def the_times_were_asked_for(world: World, _: dict[str, Any]) -> None:
    mails = b"\n".join(command for command in world.commands() if command.startswith(b"MAIL"))
    assert b" BY=600;R" in mails
    assert b" HOLDFOR=900" in mails
    assert b" MT-PRIORITY=4" in mails


@sees("docs/howto/ask-for-reports.md", "valid_since")
async def the_conditions_were_said(world: World, _: dict[str, Any]) -> None:
    said = b"\n".join(world.commands())
    assert b" REQUIRETLS" in said
    assert b" RRVS=2024-05-01T00:00:00Z" in said
    assert b" AUTH=alice@example.org" in said


@sees("docs/howto/send-many.md", "client.send_all(messages) as")
async def all_of_them_were_sent_and_told(world: World, _: dict[str, Any]) -> None:
    assert len(world.arrived("b")) == 1
    assert world.printed == f"0 {Delivery.ACCEPTED} None\n"


@sees("docs/howto/send-many.md", "def letters")
async def the_letters_arrived(world: World, namespace: dict[str, Any]) -> None:
    assert [mail.content[-9:] for mail in world.arrived("b")] == [b"Hello b\r\n", b"Hello c\r\n"]
    assert [result.index for result in namespace["results"]] == [0, 1]


@sees("docs/howto/send-many.md", "results.remaining")
async def what_was_left_was_not_sent(world: World, namespace: dict[str, Any]) -> None:
    assert len(namespace["retry"]) == 3 - len(world.arrived("b"))


@sees("docs/howto/send-from-many-tasks.md", "asyncio.gather")
async def the_tasks_had_their_receipts(world: World, namespace: dict[str, Any]) -> None:
    assert [receipt.delivery for receipt in namespace["receipts"]] == [Delivery.ACCEPTED]
    assert len(world.arrived("b")) == 1


@sees("docs/howto/send-from-many-tasks.md", "results.remaining")
async def the_pool_sent_them(world: World, _: dict[str, Any]) -> None:
    assert len(world.arrived("b")) == 1
    assert world.printed == f"0 {Delivery.ACCEPTED} None\n()\n"


@sees("docs/howto/send-from-many-tasks.md", "pool.statistics")
async def the_pool_counted(world: World, _: dict[str, Any]) -> None:
    said = "PoolStatistics(in_use=0, idle=1, leaving=0, waiting=0, opened=1, reused=0, retried=0)\n"
    assert world.printed == said
    assert world.commands()[-1] == b"QUIT"


@sees("docs/howto/send-large-messages.md", "progress=show")
async def the_progress_was_told_to_the_end(world: World, _: dict[str, Any]) -> None:
    (mail,) = world.arrived("b")
    assert mail.content == Path("message.eml").read_bytes()
    assert world.printed.splitlines()[-1] == "100%"


@sees("docs/howto/send-large-messages.md", "def octets")
async def the_attachment_went_out_in_pieces(world: World, namespace: dict[str, Any]) -> None:
    pieces = list(namespace["octets"]())
    assert len(pieces) == 2 + -(-len(REPORT) // 570_000) >= 5
    (mail,) = world.arrived("b")
    assert mail.content == b"".join(pieces)
    # A server that takes chunks was told each by itself.
    assert len([command for command in world.commands() if command.startswith(b"BDAT")]) >= 2


@sees("docs/howto/deliver-by-lmtp.md", "LMTPClient")
async def each_recipient_had_an_answer(world: World, _: dict[str, Any]) -> None:
    assert len(world.arrived("a")) == len(world.arrived("b")) == 1
    assert [line.split()[:2] for line in world.printed.splitlines()] == [
        ["a@example.org", str(Delivery.ACCEPTED)],
        ["b@example.org", str(Delivery.ACCEPTED)],
        ["nobody@example.org", str(Delivery.REFUSED)],
    ]


@sees("docs/howto/deliver-by-lmtp.md", "mailwire.send(")
async def it_was_delivered(world: World, namespace: dict[str, Any]) -> None:
    assert len(world.arrived("b")) == 1
    assert namespace["receipt"].delivery is Delivery.ACCEPTED


@sees("docs/howto/sign-with-dkim.md", "dkim.sign")
async def the_signature_holds_for_what_arrived(world: World, namespace: dict[str, Any]) -> None:
    dkim = importlib.import_module("dkim")
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    public = (
        namespace["key"]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def look_up(name: bytes, timeout: float = 5) -> bytes:
        assert name == b"selector._domainkey.example.org."
        return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    (mail,) = world.arrived("b")
    assert dkim.verify(mail.content, dnsfunc=look_up)
    assert not dkim.verify(mail.content.replace(b"Hello world", b"Hello World"), dnsfunc=look_up)


# From web applications

TAKEN = 200, {"delivery": "accepted"}
LOST = 502, {"delivery": "unknown"}
NO, LATER = "550 5.1.1 no such user", "450 4.2.1 later"


async def answers_to_users(world: World, post: Callable[[str], Awaitable[tuple[int, Any]]]) -> list[tuple[int, Any]]:
    """Post to an application, while the server takes, loses, refuses and puts off the mail, and return its answers."""
    answers = [await post("b@example.org")]
    (mail,) = world.arrived("b")
    assert mail.content.endswith(b"You are invited.\r\n")
    assert mail.envelope is not None
    assert mail.envelope.sender == "a@example.org"
    world.upgradable.inject(HungUp("."))
    answers.append(await post("b@example.org"))
    for reply in (NO, LATER):
        world.upgradable.inject(Replaced("RCPT", f"{reply}\r\n".encode()))
        answers.append(await post("b@example.org"))
    assert len(world.arrived("b")) == 2
    status, _ = await post("b@example.org,c@example.org")
    assert status == 422
    assert len(world.arrived("b")) == 2
    return answers


@sees("docs/howto/send-from-a-web-application.md", "FastAPI")
async def fastapi_sends_an_invitation(world: World, namespace: dict[str, Any]) -> None:
    app = namespace["app"]

    async def post(address: str) -> tuple[int, Any]:
        async with app.router.lifespan_context(app):
            status, body = await posted(app, "/invitations", f"address={address}".encode())
        return status, json.loads(body)

    answers = await answers_to_users(world, post)
    assert answers == [TAKEN, (502, {"detail": LOST[1]}), (422, {"detail": NO}), (503, {"detail": LATER})]


async def posted(app: Any, path: str, query: bytes) -> tuple[int, bytes]:
    """Post to an application as a server does that speaks ASGI, and return its answer."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        said.append(event)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
    }
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": []}
    await app(scope | {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}, receive, send)
    status = next(event["status"] for event in said if event["type"] == "http.response.start")
    return status, b"".join(event.get("body", b"") for event in said)


@sees("docs/howto/send-from-a-web-application.md", "Flask")
async def flask_sends_an_invitation(world: World, namespace: dict[str, Any]) -> None:
    client = namespace["app"].test_client()  # which, with `testing` unset, answers 500 where a view raises

    async def post(address: str) -> tuple[int, Any]:
        answer = await asyncio.to_thread(client.post, f"/invitations/{address}")
        return answer.status_code, answer.json

    assert await answers_to_users(world, post) == [TAKEN, LOST, (422, {"error": NO}), (503, {"error": LATER})]


@sees("docs/howto/send-from-a-web-application.md", "django")
async def django_sends_an_invitation(world: World, namespace: dict[str, Any]) -> None:
    conf, test = importlib.import_module("django.conf"), importlib.import_module("django.test")
    urls = ModuleType("invitation_urls")
    vars(urls).update(namespace)
    sys.modules[urls.__name__] = urls
    if not conf.settings.configured:
        conf.settings.configure(ROOT_URLCONF=urls.__name__, ALLOWED_HOSTS=["testserver"])

    async def post(address: str) -> tuple[int, Any]:
        answer = await test.AsyncClient().post(f"/invitations/{address}")
        return answer.status_code, answer.json()

    assert await answers_to_users(world, post) == [TAKEN, LOST, (422, {"error": NO}), (503, {"error": LATER})]


# Connecting


@sees("docs/howto/connect-through-a-proxy.md", "Proxy")
async def it_went_through_the_proxy(world: World, _: dict[str, Any]) -> None:
    assert world.socks.visited == [("smtp.example.net", 465)]
    assert len(world.arrived("b")) == 1


@sees("docs/howto/log-in.md", "External()")
async def the_certificate_logged_in(world: World, _: dict[str, Any]) -> None:
    assert world.printed == "EXTERNAL\n"
    assert world.implicit.smtp_sessions[-1].user == "alice"


@sees("docs/howto/log-in.md", "tls_ca_file")
async def the_server_with_that_certificate_was_trusted(world: World, _: dict[str, Any]) -> None:
    assert re.fullmatch("[0-9a-f]{64}\n", world.printed)


@sees("docs/howto/log-in.md", "OAuthToken")
async def the_second_token_logged_in(world: World, _: dict[str, Any]) -> None:
    assert world.printed.splitlines()[-1] == "OAUTHBEARER"
    assert world.implicit.smtp_sessions[-1].user == "a"


@sees("docs/howto/log-in.md", "PlainByHand")
async def the_mechanism_of_ones_own_logged_in(world: World, _: dict[str, Any]) -> None:
    assert world.printed == "PLAIN\n"
    assert world.implicit.smtp_sessions[-1].user == "a"


@sees("docs/howto/log-in.md", "remembered=")
async def the_preferred_mechanism_logged_in(world: World, _: dict[str, Any]) -> None:
    assert world.printed == "SCRAM-SHA-256\n"


@sees("docs/howto/watch-a-session.md", "transcript.render")
async def the_dialogue_has_no_secret(world: World, _: dict[str, Any]) -> None:
    assert "C: RETR 1" in world.printed
    assert "secret" not in world.printed


@sees("docs/howto/watch-a-session.md", "b:wrong@")
async def the_error_shows_the_end_of_the_dialogue(world: World, _: dict[str, Any]) -> None:
    assert "S: -ERR" in world.printed
    assert "wrong" not in world.printed


# Retrieving


@sees("docs/howto/retrieve-and-delete.md", "message_limit")
async def the_message_was_written(world: World, namespace: dict[str, Any]) -> None:
    (on_server,) = world.implicit.messages("b")
    assert namespace["file"].getvalue() == on_server.content


@sees("docs/howto/retrieve-and-delete.md", "report.committed_uids")
async def the_message_was_deleted(world: World, namespace: dict[str, Any]) -> None:
    assert world.implicit.messages("b") == ()
    assert len(namespace["report"].committed_uids) == 1


@sees("docs/howto/retrieve-and-delete.md", "mailwire.Batch")
async def the_batch_was_committed(world: World, _: dict[str, Any]) -> None:
    assert world.implicit.messages("b") == ()


@sees("docs/howto/collect-a-mailbox.md", "asyncio.timeout(60)")
async def the_run_told_what_it_had_done(world: World, _: dict[str, Any]) -> None:
    assert len(list(Path("Mail/new").iterdir())) == 1
    assert ": 1 stored; " in world.printed
    assert "at its end" not in world.printed


@sees("docs/howto/collect-a-mailbox.md", "max_message_size")
async def the_policy_let_it_in(world: World, namespace: dict[str, Any]) -> None:
    assert len(namespace["report"].stored) == 1


@sees("docs/howto/collect-a-mailbox.md", "retrieve_all")
async def both_accounts_had_a_run(world: World, _: dict[str, Any]) -> None:
    assert len(world.printed.splitlines()) == 2
    assert len(list(Path("b/new").iterdir())) == 1


@sees("docs/howto/collect-a-mailbox.md", "watch(accounts")
async def the_message_was_told_of(world: World, _: dict[str, Any]) -> None:
    assert "has a new message of" in world.printed


@sees("docs/howto/collect-a-mailbox.md", "probe(")
async def the_message_was_found_and_left(world: World, _: dict[str, Any]) -> None:
    assert world.printed == "1 of 1 messages are new\n"


@sees("docs/howto/process-mail-in-a-transaction.md", "class Tickets")
async def the_ticket_is_there_and_the_message_gone(world: World, _: dict[str, Any]) -> None:
    assert world.printed == "1 tickets\n"
    assert world.implicit.messages("b") == ()


@sees("docs/howto/process-mail-in-a-transaction.md", "def print_subject")
async def the_subject_was_printed(world: World, _: dict[str, Any]) -> None:
    assert world.printed == "Hello\n"


@sees("docs/howto/speak-smtp-yourself.md", "def exchange")
async def the_mail_by_hand_arrived(world: World, namespace: dict[str, Any]) -> None:
    (mail,) = world.arrived("b")
    assert mail.content == b"Subject: Hello\r\n\r\nHello world\r\n"
    assert namespace["transaction"].receipt().accepted == ("b@example.org",)


@sees("docs/howto/speak-smtp-yourself.md", "class Etrn")
async def the_command_of_ones_own_was_heard(world: World, _: dict[str, Any]) -> None:
    assert b"ETRN example.org" in world.commands()
    assert b"NOOP are you there?" in world.commands()


# What is small


@sees("docs/explanation/broken-pop3-servers.md", "second_status=True")
async def the_second_status_is_dropped(_: World, namespace: dict[str, Any]) -> None:
    pop3, connection = namespace["pop3"], namespace["connection"]
    connection.receive_data(b"+OK hi\r\n")
    event = connection.next_event()
    for command, answer in (
        (pop3.User("b"), b"+OK\r\n"),
        (pop3.Pass("secret"), b"+OK\r\n"),
        (pop3.Top(1, 0), b"+OK\r\n+OK again\r\nSubject: x\r\n\r\n.\r\n"),
    ):
        connection.send(command)
        connection.data_to_send()
        connection.receive_data(answer)
        event = connection.next_event()
    assert event.response.ok
    assert connection.next_event().data == b"Subject: x\r\n\r\n"


@sees("docs/howto/broken-servers.md", "keep_alive=20")
async def the_server_was_listed(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["settings"].quirks.plus_err
    assert world.printed == "1\n"


@sees("docs/howto/broken-servers.md", '"LAST"]')
async def a_server_with_unique_ids_is_not_asked_for_last(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["listing"].last_accessed is None
    assert b"LAST" not in [command.upper() for command in world.implicit.pop3_sessions[-1].commands]


@sees("docs/howto/collect-a-mailbox.md", "keep=timedelta(days=14),\n)\nprint(report)")
async def the_mail_was_stored_and_kept(world: World, namespace: dict[str, Any]) -> None:
    assert len(namespace["report"].stored) == len(world.implicit.messages("b")) == 1
    assert "1 stored" in world.printed


@sees("docs/howto/collect-a-mailbox.md", "the disk is full")
async def nothing_failed(_: World, namespace: dict[str, Any]) -> None:
    assert namespace["report"].is_complete
    assert not namespace["report"].failed


@sees("docs/howto/collect-a-mailbox.md", "for caution in report.cautions")
async def a_ledger_that_cannot_be_read_is_a_caution(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["report"].cautions == ()
    where, mails = f"pop3s://b:secret@localhost:{world.implicit.pop3_port}", namespace["mails"]
    Path("damaged.db").write_bytes(b"no ledger at all" * 100)
    for _ in range(2):
        report = await mailwire.retrieve(where, into=mails, ledger="damaged.db", keep="until stored")
        (caution,) = report.cautions
        assert caution.kind is CautionKind.LEDGER_UNREADABLE
        assert len(report.stored) == len(world.implicit.messages("b")) == 1


@sees("docs/howto/process-mail-in-a-transaction.md", "for caution in report.cautions")
async def there_was_no_caution(_: World, namespace: dict[str, Any]) -> None:
    assert namespace["report"].cautions == ()


@sees("docs/howto/log-in.md", 'SCRAM-SHA-512", say')
async def the_best_mechanism_logged_in(world: World, _: dict[str, Any]) -> None:
    assert world.printed.startswith("SCRAM-SHA-512-PLUS\nTLSInfo(")


@sees("docs/howto/move-from-other-libraries.md", "SMTPClient(endpoint)")
async def the_refused_recipient_is_printed(world: World, _: dict[str, Any]) -> None:
    assert world.printed.startswith("True\nnobody@example.org 550")
    assert len(world.arrived("b")) == 1


@sees("docs/howto/move-from-other-libraries.md", "POP3Client(")
async def the_message_was_read_and_deleted(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["octets"].endswith(b"Hello world\r\n")
    assert world.implicit.messages("b") == ()


@sees("docs/howto/process-mail-in-a-transaction.md", "class QuickTickets")
async def the_tickets_were_settled(world: World, _: dict[str, Any]) -> None:
    database = sqlite3.connect("tickets.db")
    ((raw,),) = database.execute("SELECT raw FROM tickets").fetchall()
    database.close()
    assert raw == world.implicit.messages("b")[0].content


@sees("docs/howto/retrieve-and-delete.md", "listing.findings")
async def the_message_was_listed(world: World, _: dict[str, Any]) -> None:
    (message,) = world.implicit.messages("b")
    assert world.printed == f"1 {message.uid} {len(message.content)}\n"


@sees("docs/howto/send-from-many-tasks.md", "mailing.last_receipt")
async def the_mail_was_sent_in_time(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["mailing"].last_receipt.delivery is Delivery.ACCEPTED
    assert len(world.arrived("b")) == 1


@sees("docs/howto/send-large-messages.md", "use_chunking=False")
async def no_chunk_is_sent(_: World, namespace: dict[str, Any]) -> None:
    assert namespace["endpoint"].use_chunking is False


@sees("docs/howto/send-through-a-task-queue.md", "await submit(")
async def the_queued_mail_was_sent(world: World, _: dict[str, Any]) -> None:
    assert world.printed == f"{Delivery.ACCEPTED} after 1 attempts\n"
    assert len(world.arrived("b")) == 1


@sees("docs/howto/send-through-a-task-queue.md", "remaining(receipt, rules)")
async def the_rules_decide_as_the_comments_say(world: World, _: dict[str, Any]) -> None:
    first, second, third = world.printed.splitlines()
    assert first == "('c@example.org', 'd@example.org')"
    found = re.fullmatch(r"Step\(kind='again', delay=([\d.]+)\)", second)
    assert found is not None
    assert 120 <= float(found[1]) <= 240
    assert third == "('c@example.org',)"


@sees("docs/howto/send-through-a-task-queue.md", "collect_mailbox.kiq")
async def the_mailbox_was_collected(world: World, _: dict[str, Any]) -> None:
    assert "1 stored" in world.printed
    assert len(world.implicit.messages("b")) == 1


@sees("docs/howto/set-deadlines.md", "minimum_rate=4096")
async def the_deadlines_are_set(_: World, namespace: dict[str, Any]) -> None:
    timeouts = namespace["endpoint"].timeouts
    assert (timeouts.connect, timeouts.greeting, timeouts.command, timeouts.minimum_rate) == (10, 60, 60, 4096)


@sees("docs/howto/set-deadlines.md", "client.last_receipt")
async def the_mail_was_sent_before_the_deadline(world: World, namespace: dict[str, Any]) -> None:
    assert namespace["client"].last_receipt.delivery is Delivery.ACCEPTED
    assert len(world.arrived("b")) == 1


@sees("docs/howto/test-against-faults.md", "def one_of_a_hundred")
async def one_of_a_hundred_is_cut(_: World, namespace: dict[str, Any]) -> None:
    chance = Random(7)
    faults = [fault for number in range(10_000) for fault in namespace["one_of_a_hundred"](number, chance)]
    assert 50 < len([fault for fault in faults if isinstance(fault, Cut)]) < 200


@sees("docs/howto/watch-a-session.md", "setLevel")
async def every_line_is_logged(world: World, _: dict[str, Any]) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    await mailwire.retrieve(world.with_hosts_of_ours("pop3s://b:secret@pop.example.org"))
    logging.getLogger().removeHandler(handler)
    assert "C: RETR 1" in heard.getvalue()
    assert "secret" not in heard.getvalue()


@sees("docs/howto/write-an-adapter.md", "first_message")
async def the_first_message_was_printed(world: World, _: dict[str, Any]) -> None:
    assert world.printed == f"{world.implicit.messages('b')[0].content!r}\n"


@sees("docs/index.md", "mailwire.retrieve(")
async def one_was_sent_and_another_retrieved(world: World, namespace: dict[str, Any]) -> None:
    first, second = world.implicit.messages("b")
    assert [message.raw for message in namespace["messages"]] == [first.content, second.content]


@sees("docs/tutorial/index.md", "SMTP on port")
async def the_ports_and_the_authority_were_printed(world: World, _: dict[str, Any]) -> None:
    assert re.fullmatch(r"SMTP on port \d+ and POP3 on port \d+\nits certificate is signed by .*\.pem\n", world.printed)
