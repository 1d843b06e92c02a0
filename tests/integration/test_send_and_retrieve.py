"""A mail from end to end: sent through Postfix by SMTP, found in Dovecot by POP3, by every kind of link."""

from pathlib import Path

import pytest

import mailwire
from mailwire.testing.tls import client_context
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox
from tests.integration.postfix import MESSAGE_SIZE_LIMIT, REFUSED_SENDER

TLS_MODES: list[mailwire.endpoint.TLSMode] = ["none", "starttls", "implicit"]


def smtp_endpoint(host: MailHost, tls: mailwire.endpoint.TLSMode, password: str | None = None) -> mailwire.Endpoint:
    postfix, user = host.postfix, host.alice
    return mailwire.Endpoint(
        "localhost" if tls != "none" else postfix.host,
        postfix.tls_port if tls == "implicit" else postfix.port,
        tls=tls,
        tls_context=client_context(),
        auth=mailwire.Password(user.user, user.password if password is None else password),
        allow_cleartext_auth=tls == "none",
    )


def pop3_endpoint(
    host: MailHost, mailbox: Mailbox, tls: mailwire.endpoint.TLSMode, password: str | None = None
) -> mailwire.Endpoint:
    dovecot = host.dovecot
    return mailwire.Endpoint(
        "localhost" if tls != "none" else dovecot.host,
        dovecot.tls_port if tls == "implicit" else dovecot.port,
        protocol="pop3",
        tls=tls,
        tls_context=client_context(),
        auth=mailwire.Password(mailbox.user, mailbox.password if password is None else password),
        allow_cleartext_auth=tls == "none",
    )


def below_the_trace(raw: bytes, sent: bytes) -> bytes:
    """Return what stands below the trace headers that the servers added on top."""
    trace, found, below = raw.partition(sent[: sent.index(b"\r\n")])
    assert trace.startswith(b"Return-Path:")
    return found + below


@pytest.mark.parametrize("tls", TLS_MODES)
async def test_what_was_sent_comes_back_octet_for_octet(
    mail_host: MailHost, mailbox: Mailbox, tls: mailwire.endpoint.TLSMode
) -> None:
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
