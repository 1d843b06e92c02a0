"""What Postfix and Dovecot make of what a sender may want: chunks, reports, UTF-8, all or nobody, delivery by LMTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Delivery, LMTPClient, MailOptions, RecipientOptions, SMTPClient
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import DOMAIN, Mailbox
from tests.integration.postfix import MESSAGE_SIZE_LIMIT
from tests.integration.test_send_and_retrieve import below_the_trace, smtp_endpoint

MESSAGE = b"Subject: hello\r\n\r\n.\r\n..dots\r\nand the end\r\n"
LARGE = b"Subject: large\r\n\r\n" + b".0123456789abcdef\r\n" * 100_000
NOBODY = f"nobody@{DOMAIN}"


def dialogue_of(transcript: mailwire.Transcript) -> list[str]:
    return [line[3:] for entry in transcript for line in entry.lines() if line.startswith("C: ")]


# Postfix


@pytest.mark.parametrize("choice", [None, False, "eager"])
@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
async def test_a_message_arrives_the_same_in_chunks_and_behind_data(
    mail_host: MailHost, mailbox: Mailbox, message: bytes, choice: Any
) -> None:
    transcript = mailwire.Transcript(limit=None)
    receipt = await mailwire.send(
        message,
        smtp_endpoint(mail_host, "implicit"),
        sender=mail_host.alice.address,
        recipients=[mailbox.address],
        use_chunking=choice,
        transcript=transcript,
    )
    (path,) = await asyncio.to_thread(mailbox.wait_for_messages, 1)
    assert below_the_trace(path.read_bytes().replace(b"\n", b"\r\n"), message) == message
    said = dialogue_of(transcript)
    assert any(line.startswith("BDAT") for line in said) is (choice is not False)
    assert ("DATA" in said) is (choice is False)
    assert receipt.queue_id
    assert set(receipt.timings) == {"connection", "envelope", "message", "verdict"}


async def test_a_file_and_an_iterable_arrive(mail_host: MailHost, mailbox: Mailbox, tmp_path: Path) -> None:
    path = tmp_path / "message.eml"
    path.write_bytes(LARGE)

    async def blocks() -> Any:
        for start in range(0, len(LARGE), 10_000):
            yield LARGE[start : start + 10_000]

    async with SMTPClient(smtp_endpoint(mail_host, "starttls")) as client:
        for message in (path, blocks()):
            await client.send(message, sender=mail_host.alice.address, recipients=[mailbox.address])
    for stored in await asyncio.to_thread(mailbox.wait_for_messages, 2):
        assert below_the_trace(stored.read_bytes().replace(b"\n", b"\r\n"), LARGE) == LARGE


@pytest.mark.parametrize("choice", [None, False])
async def test_all_or_nobody_is_kept(mail_host: MailHost, mailbox: Mailbox, choice: Any) -> None:
    endpoint = smtp_endpoint(mail_host, "starttls").replace(use_chunking=choice)
    async with SMTPClient(endpoint) as client:
        with pytest.raises(mailwire.RecipientsRefused) as caught:
            await client.send(MESSAGE, sender="", recipients=[mailbox.address, NOBODY], on_refused="abort")
        assert caught.value.delivery is Delivery.REFUSED
        receipt = await client.send(MESSAGE, sender="", recipients=[mailbox.address], on_refused="abort")
    assert receipt.delivery is Delivery.ACCEPTED
    await asyncio.to_thread(mailbox.wait_for_messages, 1)


async def test_some_recipients_are_refused_in_chunks_too(mail_host: MailHost, mailbox: Mailbox) -> None:
    recipients = [NOBODY, mailbox.address, "somebody@example.invalid"]
    receipt = await mailwire.send(MESSAGE, smtp_endpoint(mail_host, "none"), sender="", recipients=recipients)
    assert receipt.accepted == (mailbox.address,)
    assert [str(entry.enhanced_code) for entry in receipt.refused] == ["5.1.1", "5.7.1"]
    await asyncio.to_thread(mailbox.wait_for_messages, 1)


async def test_postfix_understands_what_is_wished_for(mail_host: MailHost, mailbox: Mailbox) -> None:
    wished = RecipientOptions(notify=["FAILURE", "DELAY"], original_recipient="first+list@example.org")
    receipt = await mailwire.send(
        MESSAGE,
        smtp_endpoint(mail_host, "starttls"),
        sender=mail_host.alice.address,
        recipients=[mailbox.address],
        options=MailOptions(ret="HDRS", envelope_id="order 4711"),
        recipient_options=wished,
    )
    assert receipt.delivery is Delivery.ACCEPTED
    assert "DSN" in receipt.extensions
    (path,) = await asyncio.to_thread(mailbox.wait_for_messages, 1)
    assert b"X-Original-To" in path.read_bytes() or b"Delivered-To" in path.read_bytes()


async def test_a_report_of_success_comes_back(mail_host: MailHost, mailbox: Mailbox) -> None:
    reporter = mail_host.new_mailbox()
    await mailwire.send(
        MESSAGE,
        smtp_endpoint(mail_host, "starttls"),
        sender=reporter.address,
        recipients=[mailbox.address],
        options=MailOptions(ret="HDRS", envelope_id="order-4711"),
        recipient_options=RecipientOptions(notify="SUCCESS", original_recipient="first@example.org"),
    )
    (path,) = await asyncio.to_thread(reporter.wait_for_messages, 1)
    report = path.read_bytes()
    assert b"Original-Envelope-Id: order-4711" in report
    assert b"Original-Recipient: rfc822;first@example.org" in report
    assert b"Action: delivered" in report


@pytest.mark.parametrize("choice", [None, False])
async def test_octets_beyond_ascii_are_announced_and_arrive(mail_host: MailHost, mailbox: Mailbox, choice: Any) -> None:
    message = "Subject: hello\r\n\r\nVoilà, ça va\r\n".encode()
    endpoint = smtp_endpoint(mail_host, "starttls").replace(use_chunking=choice)
    receipt = await mailwire.send(message, endpoint, sender="", recipients=[mailbox.address])
    assert {"8BITMIME", "SIZE"} <= set(receipt.extensions)
    (path,) = await asyncio.to_thread(mailbox.wait_for_messages, 1)
    assert below_the_trace(path.read_bytes().replace(b"\n", b"\r\n"), message) == message


async def test_a_message_in_utf_8_is_sent_as_such(mail_host: MailHost, mailbox: Mailbox) -> None:
    message = mailwire.compose(
        sender=f"Älice <{mail_host.alice.address}>", to=mailbox.address, subject="Grüße", text="Voilà\n"
    )
    receipt = await mailwire.send(message, smtp_endpoint(mail_host, "starttls"), sender=f"älice@{DOMAIN}")
    assert "SMTPUTF8" in receipt.extensions
    (path,) = await asyncio.to_thread(mailbox.wait_for_messages, 1)
    assert "Subject: Grüße".encode() in path.read_bytes()


@pytest.mark.parametrize("choice", [None, False])
async def test_a_message_of_which_the_size_was_not_told_is_refused_where_it_is_too_big(
    mail_host: MailHost, mailbox: Mailbox, choice: Any
) -> None:
    endpoint = smtp_endpoint(mail_host, "implicit").replace(ignored_extensions=["SIZE"], use_chunking=choice)
    big = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * (MESSAGE_SIZE_LIMIT // 18 + 1000)
    async with SMTPClient(endpoint) as client:
        with pytest.raises(mailwire.DataRefused) as caught:
            await client.send(big, sender="", recipients=[mailbox.address])
        assert caught.value.delivery is Delivery.REFUSED
        assert caught.value.reply.code == 552 or caught.value.reply.code == 521
    assert caught.value.receipt is not None
    assert caught.value.receipt.octets > 0


async def test_postfix_answers_what_else_may_be_asked(mail_host: MailHost) -> None:
    async with SMTPClient(smtp_endpoint(mail_host, "starttls")) as client:
        assert (await client.execute(mailwire.smtp.Vrfy(mail_host.alice.address))).code == 252
        assert (await client.execute(mailwire.smtp.Noop())).code == 250
        with pytest.raises(mailwire.ReplyError) as unknown:  # Postfix has no HELP, and says so as RFC 5321 4.2.4 has it
            await client.execute(mailwire.smtp.Help())
        assert unknown.value.reply.code in (500, 502)
        assert (await client.execute(mailwire.smtp.Rset())).code == 250
        with pytest.raises(mailwire.ReplyError):
            await client.execute(mailwire.smtp.Expn("list"))


# Dovecot


def lmtp_endpoint(host: MailHost, way: str) -> mailwire.Endpoint:
    dovecot = host.dovecot
    if way == "unix":
        return mailwire.Endpoint.parse(f"lmtp+unix://{dovecot.lmtp_socket}")
    return mailwire.Endpoint(dovecot.host, dovecot.lmtp_port, protocol="lmtp", tls="none")


@pytest.mark.parametrize("way", ["unix", "tcp"])
@pytest.mark.parametrize("choice", [None, False])
async def test_each_recipient_of_a_delivery_has_a_word_of_its_own(
    mail_host: MailHost, mailbox: Mailbox, way: str, choice: Any
) -> None:
    async with LMTPClient(lmtp_endpoint(mail_host, way).replace(use_chunking=choice)) as client:
        receipt = await client.send(
            MESSAGE, sender="", recipients=[mailbox.address, NOBODY, mail_host.full.address, mail_host.bob.address]
        )
        full, nobody = receipt.recipients[2], receipt.recipients[1]
        assert [entry.delivery for entry in receipt.recipients] == [
            Delivery.ACCEPTED,
            Delivery.REFUSED,
            Delivery.REFUSED,
            Delivery.ACCEPTED,
        ]
        assert nobody.reply is not None
        assert nobody.reply.code == 550
        assert full.reply is not None
        assert full.reply.code == 250
        assert full.final_reply is not None
        assert full.final_reply.code == 552
        with pytest.raises(mailwire.DataRefused) as caught:
            await client.send(MESSAGE, sender="", recipients=[mail_host.full.address])
        assert caught.value.delivery is Delivery.REFUSED
        await client.send(MESSAGE, sender="", recipients=[mailbox.address])
    for path in await asyncio.to_thread(mailbox.wait_for_messages, 2):
        assert below_the_trace(path.read_bytes().replace(b"\n", b"\r\n"), MESSAGE) == MESSAGE
