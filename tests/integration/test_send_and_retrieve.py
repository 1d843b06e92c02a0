"""A mail from end to end: sent through Postfix by SMTP, found in Dovecot by POP3, by every kind of link."""

import socket
from pathlib import Path

import pytest

import mailwire
import mailwire.pop3
from mailwire.endpoint import Chunking, TLSMode
from mailwire.testing.tls import client_context
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox
from tests.integration.postfix import MESSAGE_SIZE_LIMIT, REFUSED_SENDER

TLS_MODES: list[TLSMode] = ["none", "starttls", "implicit"]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def smtp_endpoint(host: MailHost, tls: TLSMode, password: str | None = None) -> mailwire.Endpoint:
    postfix, user = host.postfix, host.alice
    return mailwire.Endpoint(
        "localhost" if tls != "none" else postfix.host,
        postfix.tls_port if tls == "implicit" else postfix.port,
        tls=tls,
        tls_context=client_context() if tls != "none" else None,
        auth=mailwire.Password(user.user, user.password if password is None else password),
        allow_cleartext_auth=tls == "none",
    )


def pop3_endpoint(host: MailHost, mailbox: Mailbox, tls: TLSMode, password: str | None = None) -> mailwire.Endpoint:
    dovecot = host.dovecot
    return mailwire.Endpoint(
        "localhost" if tls != "none" else dovecot.host,
        dovecot.tls_port if tls == "implicit" else dovecot.port,
        protocol="pop3",
        tls=tls,
        tls_context=client_context() if tls != "none" else None,
        auth=mailwire.Password(mailbox.user, mailbox.password if password is None else password),
        allow_cleartext_auth=tls == "none",
    )


def below_the_trace(raw: bytes, sent: bytes) -> bytes:
    """Return what stands below the trace headers that the servers added on top."""
    trace, found, below = raw.partition(sent[: sent.index(b"\r\n")])
    assert trace.startswith(b"Return-Path:")
    return found + below


@pytest.mark.parametrize("tls", TLS_MODES)
async def test_what_was_sent_comes_back_octet_for_octet(mail_host: MailHost, mailbox: Mailbox, tls: TLSMode) -> None:
    sent = (Path(__file__).parents[1] / "data" / "sylpheed-message.eml").read_bytes()

    receipt = await mailwire.send(
        sent, smtp_endpoint(mail_host, tls), sender=mail_host.alice.address, recipients=mailbox.address
    )
    mailbox.wait_for_messages(1)
    (message,) = await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, tls))

    assert receipt.delivery is mailwire.Delivery.ACCEPTED
    assert receipt.octets == len(sent)
    assert below_the_trace(message.raw, sent) == sent
    assert message.uid


@pytest.mark.parametrize("tls", TLS_MODES)
async def test_a_composed_message_arrives_as_it_was_composed(
    mail_host: MailHost, mailbox: Mailbox, tls: TLSMode
) -> None:
    message = mailwire.compose(
        sender=f"Älice <{mail_host.alice.address}>",
        to=mailbox.address,
        bcc=mail_host.bob.address,
        subject="Grüße",
        text=".dots\n..and more\n\nVoilà\n",
    )

    receipt = await mailwire.send(message, smtp_endpoint(mail_host, tls))
    mailbox.wait_for_messages(1)
    (retrieved,) = await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, tls))

    assert receipt.accepted == (mailbox.address, mail_host.bob.address)
    parsed = retrieved.parse()
    assert parsed["Subject"] == "Grüße"
    assert parsed["Message-ID"] == message["Message-ID"]
    assert parsed["Bcc"] is None
    assert parsed.get_content().splitlines() == [".dots", "..and more", "", "Voilà"]


async def test_many_messages_on_one_connection_are_retrieved_in_order(mail_host: MailHost, mailbox: Mailbox) -> None:
    sent = [b"Subject: %d\r\n\r\n%b" % (number, b".\r\n" * number) for number in range(150)]

    async with mailwire.SMTPClient(smtp_endpoint(mail_host, "starttls")) as sender:
        assert "PIPELINING" in sender.extensions
        for content in sent:
            receipt = await sender.send(content, sender=mail_host.alice.address, recipients=[mailbox.address])
            assert receipt.delivery is mailwire.Delivery.ACCEPTED
    mailbox.wait_for_messages(len(sent))
    async with mailwire.POP3Client(pop3_endpoint(mail_host, mailbox, "starttls")) as reader:
        assert "PIPELINING" in reader.capabilities
        entries = await reader.listing()
        items = [await item.read() async for item in reader.retrieve(entries)]

    assert len({entry.uid for entry in entries}) == len(sent)
    assert {below_the_trace(raw, b"Subject:\r\n") for raw in items} == set(sent)
    assert [len(raw) for raw in items] == [entry.size for entry in entries]


@pytest.mark.parametrize("tls", TLS_MODES)
async def test_a_wrong_password_is_told_by_both_servers(mail_host: MailHost, mailbox: Mailbox, tls: TLSMode) -> None:
    with pytest.raises(mailwire.AuthenticationFailed, match="535") as smtp_error:
        await mailwire.send(b"Subject: x\r\n\r\n", smtp_endpoint(mail_host, tls, "wrong"), sender="", recipients="a@b")
    with pytest.raises(mailwire.AuthenticationFailed, match=r"\[AUTH\]"):
        await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, tls, "wrong"))

    assert smtp_error.value.delivery is mailwire.Delivery.NOT_SENT


async def test_an_unknown_recipient_beside_a_known_one_is_told_by_the_receipt(
    mail_host: MailHost, mailbox: Mailbox
) -> None:
    unknown = "nobody@" + mailbox.address.partition("@")[2]

    receipt = await mailwire.send(
        b"Subject: x\r\n\r\n",
        smtp_endpoint(mail_host, "starttls"),
        sender=mail_host.alice.address,
        recipients=[unknown, mailbox.address],
    )

    (refused,) = receipt.refused
    assert refused.address == unknown
    assert refused.reply is not None
    assert refused.reply.code == 550
    assert str(refused.reply.enhanced_code) == "5.1.1"
    assert receipt.accepted == (mailbox.address,)
    mailbox.wait_for_messages(1)


async def test_refusals_leave_a_connection_that_sends_the_next_mail(mail_host: MailHost, mailbox: Mailbox) -> None:
    content = b"Subject: x\r\n\r\n"
    known, unknown = mailbox.address, "nobody@" + mailbox.address.partition("@")[2]

    async with mailwire.SMTPClient(smtp_endpoint(mail_host, "implicit")) as client:
        with pytest.raises(mailwire.RecipientsRefused) as nobody:
            await client.send(content, sender=mail_host.alice.address, recipients=[unknown, unknown])
        with pytest.raises(mailwire.SenderRefused) as refused_sender:
            await client.send(content, sender=REFUSED_SENDER, recipients=known)
        with pytest.raises(mailwire.NotSupported, match=str(MESSAGE_SIZE_LIMIT)) as too_big:
            await client.send(b"\r\n" * (MESSAGE_SIZE_LIMIT // 2 + 1), sender="", recipients=known)
        receipt = await client.send(content, sender=mail_host.alice.address, recipients=known)

    assert nobody.value.delivery is refused_sender.value.delivery is mailwire.Delivery.REFUSED
    assert too_big.value.delivery is mailwire.Delivery.NOT_SENT
    assert receipt.delivery is mailwire.Delivery.ACCEPTED
    assert len(mailbox.wait_for_messages(1)) == 1


async def test_a_message_of_several_megabytes_arrives_whole(mail_host: MailHost, mailbox: Mailbox) -> None:
    sent = b"Subject: big\r\n\r\n" + b"".join(b".%d a line like any other\r\n" % number for number in range(200_000))

    await mailwire.send(
        sent, smtp_endpoint(mail_host, "implicit"), sender=mail_host.alice.address, recipients=mailbox.address
    )
    mailbox.wait_for_messages(1)
    (message,) = await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, "implicit"))

    assert below_the_trace(message.raw, sent) == sent


async def test_a_certificate_that_does_not_verify_ends_the_attempt(mail_host: MailHost, mailbox: Mailbox) -> None:
    modes: list[TLSMode] = ["starttls", "implicit"]
    for tls in modes:
        with pytest.raises(mailwire.TLSFailed, match="certificate") as smtp_error:
            await mailwire.send(
                b"Subject: x\r\n\r\n",
                smtp_endpoint(mail_host, tls).replace(tls_context=None),
                sender="",
                recipients=mailbox.address,
            )
        with pytest.raises(mailwire.TLSFailed, match="certificate"):
            await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, tls).replace(tls_context=None))
        assert smtp_error.value.delivery is mailwire.Delivery.NOT_SENT


async def test_the_wrong_kind_of_port_is_told_apart(mail_host: MailHost, mailbox: Mailbox) -> None:
    with pytest.raises(mailwire.TLSFailed, match="this port speaks plaintext POP3, not TLS"):
        await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, "implicit").replace(port=mail_host.dovecot.port))
    # A TLS server waits for a handshake; what comes of a plaintext client is a deadline, or a closed connection.
    impatient = mailwire.Timeouts(greeting=0.2)
    with pytest.raises((mailwire.DeadlineExceeded, mailwire.ConnectionLost)):
        await mailwire.retrieve(
            pop3_endpoint(mail_host, mailbox, "none").replace(port=mail_host.dovecot.tls_port, timeouts=impatient)
        )


async def test_a_port_where_nothing_listens_is_told(mail_host: MailHost, mailbox: Mailbox, unused_port: int) -> None:
    with pytest.raises(mailwire.ConnectionFailed, match=str(unused_port)):
        await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, "implicit").replace(port=unused_port))


async def test_a_deletion_takes_effect_when_quit_was_answered(mail_host: MailHost, mailbox: Mailbox) -> None:
    for subject in (b"one", b"two"):
        await mailwire.send(
            b"Subject: %b\r\n\r\n" % subject,
            smtp_endpoint(mail_host, "none"),
            sender=mail_host.alice.address,
            recipients=mailbox.address,
        )
    mailbox.wait_for_messages(2)
    endpoint = pop3_endpoint(mail_host, mailbox, "none")

    async with mailwire.POP3Client(endpoint) as client:
        entries = await client.listing()
        await client.execute(mailwire.pop3.Dele(entries[0].number))
    async with mailwire.POP3Client(endpoint) as client:
        left = await client.listing()

    assert [entry.uid for entry in left] == [entries[1].uid]


@pytest.mark.parametrize("use_chunking", [False, "eager"])
async def test_many_mails_in_a_row_arrive_once_each(
    mail_host: MailHost, mailbox: Mailbox, use_chunking: Chunking
) -> None:
    count = 200
    messages = [f"Subject: {number}\r\n\r\n.hello {number}\r\n" for number in range(count)]
    async with mailwire.SMTPClient(smtp_endpoint(mail_host, "none")) as client:
        assert {"PIPELINING", "CHUNKING"} <= set(client.extensions)
        run = client.send_all(
            messages, sender=mail_host.alice.address, recipients=mailbox.address, use_chunking=use_chunking
        )
        results = [result async for result in run]
    assert [result.error for result in results] == [None] * count
    assert len({result.receipt.queue_id for result in results if result.receipt}) == count
    mailbox.wait_for_messages(count)
    arrived = await mailwire.retrieve(pop3_endpoint(mail_host, mailbox, "none"))
    bodies = [message.raw[message.raw.index(b"Subject: ") :] for message in arrived]
    assert sorted(bodies) == sorted(message.encode() for message in messages)
