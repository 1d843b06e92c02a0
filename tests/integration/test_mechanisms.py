"""Mechanisms used by name, against the servers that have them."""

import pytest

import mailwire
from mailwire import pop3, sasl, smtp
from mailwire.testing.tls import client_context
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox

MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"]


def mechanism(name: str, user: Mailbox, password: str | None = None) -> sasl.Mechanism:
    credentials = mailwire.Password(user.user, user.password if password is None else password)
    match name:
        case "SCRAM-SHA-256":
            return sasl.Scram(credentials, "SHA-256")
        case "SCRAM-SHA-1":
            return sasl.Scram(credentials, "SHA-1")
        case "CRAM-MD5":
            return sasl.CramMD5(credentials)
        case "PLAIN":
            return sasl.Plain(credentials)
        case _:
            return sasl.Login(credentials)


@pytest.mark.parametrize("name", MECHANISMS)
async def test_a_mechanism_used_by_name_logs_in(mail_host: MailHost, mailbox: Mailbox, name: str) -> None:
    endpoint = mailwire.Endpoint("localhost", mail_host.postfix.tls_port, tls_context=client_context())
    async with mailwire.SMTPClient(endpoint) as sender:
        assert name in sender.extensions.mechanisms
        reply = await sender.execute(smtp.Auth(mechanism(name, mailbox)))
        assert reply.code == 235
    endpoint = endpoint.replace(port=mail_host.dovecot.tls_port, protocol="pop3")
    async with mailwire.POP3Client(endpoint) as reader:
        assert name in reader.capabilities.mechanisms
        await reader.execute(pop3.Auth(mechanism(name, mailbox)))
        assert await reader.listing() == []


@pytest.mark.parametrize("name", MECHANISMS)
async def test_a_wrong_password_is_refused_whatever_the_mechanism(
    mail_host: MailHost, mailbox: Mailbox, name: str
) -> None:
    endpoint = mailwire.Endpoint("localhost", mail_host.dovecot.tls_port, protocol="pop3", tls_context=client_context())
    async with mailwire.POP3Client(endpoint) as reader:
        with pytest.raises(mailwire.ResponseError):
            await reader.execute(pop3.Auth(mechanism(name, mailbox, "wrong")))
