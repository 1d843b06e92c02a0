"""The real servers do what the tests of mailwire need from them, as the standard library's own clients see it."""

import poplib
import re
import smtplib
from collections.abc import Callable
from contextlib import closing

import pytest

from mailwire.testing.tls import client_context
from tests.integration.dovecot import Dovecot
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import DOMAIN, Mailbox
from tests.integration.postfix import MESSAGE_SIZE_LIMIT, REFUSED_SENDER, Postfix

# A server of this machine that takes longer is broken, however busy the machine is.
SECONDS = 60

MESSAGE = (
    b"From: Alice <alice@example.test>\r\n"
    b"Subject: transparency\r\n"
    b"\r\n"
    b".\r\n"
    b"..two dots\r\n"
    b"a line of 8-bit: \xc3\xa9\xff\r\n"
    b"\r\n"
    b".last\r\n"
)


def smtp(postfix: Postfix) -> smtplib.SMTP:
    return smtplib.SMTP(postfix.host, postfix.port, local_hostname="client.test", timeout=SECONDS)


def smtp_starttls(postfix: Postfix) -> smtplib.SMTP:
    client = smtp(postfix)
    client.starttls(context=client_context())
    return client


def smtp_tls(postfix: Postfix) -> smtplib.SMTP:
    context = client_context()
    return smtplib.SMTP_SSL(postfix.host, postfix.tls_port, "client.test", timeout=SECONDS, context=context)


def authenticate(client: smtplib.SMTP, user: str, password: str) -> None:
    client.ehlo()
    client.user, client.password = user, password
    client.auth("PLAIN", client.auth_plain)


def lmtp(dovecot: Dovecot) -> smtplib.LMTP:
    return smtplib.LMTP(dovecot.host, dovecot.lmtp_port, local_hostname="client.test", timeout=SECONDS)


def lmtp_unix(dovecot: Dovecot) -> smtplib.LMTP:
    return smtplib.LMTP(str(dovecot.lmtp_socket), 0, local_hostname="client.test", timeout=SECONDS)


def pop3(dovecot: Dovecot) -> poplib.POP3:
    return poplib.POP3(dovecot.host, dovecot.port, timeout=SECONDS)


def pop3_stls(dovecot: Dovecot) -> poplib.POP3:
    client = pop3(dovecot)
    client.stls(client_context())
    return client


def pop3_tls(dovecot: Dovecot) -> poplib.POP3:
    return poplib.POP3_SSL(dovecot.host, dovecot.tls_port, timeout=SECONDS, context=client_context())


@pytest.mark.parametrize("connect_smtp", [smtp, smtp_starttls, smtp_tls])
@pytest.mark.parametrize("connect_pop3", [pop3, pop3_stls, pop3_tls])
def test_mail_sent_through_postfix_is_found_in_dovecot(
    mail_host: MailHost,
    mailbox: Mailbox,
    connect_smtp: Callable[[Postfix], smtplib.SMTP],
    connect_pop3: Callable[[Dovecot], poplib.POP3],
) -> None:
    sender = mail_host.alice
    with connect_smtp(mail_host.postfix) as outgoing:
        authenticate(outgoing, sender.user, sender.password)
        assert outgoing.sendmail(sender.address, [mailbox.address], MESSAGE, ["BODY=8BITMIME"]) == {}
    (file,) = mailbox.wait_for_messages(1)

    with closing(connect_pop3(mail_host.dovecot)) as incoming:
        incoming.user(mailbox.user)
        incoming.pass_(mailbox.password)
        assert incoming.stat()[0] == 1
        _, lines, _ = incoming.retr(1)
        incoming.quit()

    retrieved = b"".join(line + b"\r\n" for line in lines)
    trace, _, message = retrieved.partition(b"From: Alice")
    assert b"From: Alice" + message == MESSAGE
    assert f"(Authenticated sender: {sender.user})".encode() in trace
    assert mailbox.messages()[0].name.startswith(file.name)


def test_unknown_recipient_is_refused_at_rcpt(postfix: Postfix) -> None:
    with smtp(postfix) as client:
        client.ehlo()
        assert client.mail("alice@example.test")[0] == 250
        code, text = client.rcpt(f"nobody@{DOMAIN}")
        assert (code, text[:5]) == (550, b"5.1.1")


def test_other_domain_is_refused_at_rcpt(mail_host: MailHost) -> None:
    with smtp(mail_host.postfix) as client:
        authenticate(client, mail_host.alice.user, mail_host.alice.password)
        assert client.mail("alice@example.test")[0] == 250
        code, text = client.rcpt("someone@example.org")
        assert (code, text[:5]) == (554, b"5.7.1")


def test_refused_sender_is_refused_at_mail(postfix: Postfix) -> None:
    with smtp(postfix) as client:
        client.ehlo()
        code, text = client.mail(REFUSED_SENDER)
        assert (code, text[:5]) == (554, b"5.7.1")


def test_size_limit_is_announced_and_kept(postfix: Postfix) -> None:
    with smtp(postfix) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == str(MESSAGE_SIZE_LIMIT)
        code, text = client.mail("alice@example.test", [f"SIZE={MESSAGE_SIZE_LIMIT + 1}"])
        assert (code, text[:5]) == (552, b"5.3.4")


def test_wrong_password_is_refused_by_both(mail_host: MailHost) -> None:
    with smtp(mail_host.postfix) as outgoing, pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        authenticate(outgoing, mail_host.alice.user, "wrong")

    with closing(pop3(mail_host.dovecot)) as incoming:
        incoming.user(mail_host.alice.user)
        with pytest.raises(poplib.error_proto, match=re.escape("-ERR [AUTH]")):
            incoming.pass_("wrong")


def test_mechanisms_and_extensions_are_offered(mail_host: MailHost) -> None:
    mechanisms = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}
    with smtp(mail_host.postfix) as outgoing:
        outgoing.ehlo()
        assert mechanisms <= set(outgoing.esmtp_features["auth"].split())
        assert {"pipelining", "starttls", "8bitmime", "chunking", "smtputf8", "dsn"} <= set(outgoing.esmtp_features)

    with closing(pop3(mail_host.dovecot)) as incoming:
        capabilities = incoming.capa()
    assert mechanisms | {"EXTERNAL"} <= set(capabilities["SASL"])
    assert {"PIPELINING", "STLS", "UIDL", "TOP", "USER", "RESP-CODES"} <= set(capabilities)


def test_apop_is_accepted(dovecot: Dovecot, mailbox: Mailbox) -> None:
    with closing(pop3(dovecot)) as incoming:
        incoming.apop(mailbox.user, mailbox.password)
        assert incoming.stat() == (0, 0)
        incoming.quit()


@pytest.mark.parametrize("connect", [lmtp, lmtp_unix])
def test_lmtp_answers_for_each_recipient(
    mail_host: MailHost, mailbox: Mailbox, connect: Callable[[Dovecot], smtplib.LMTP]
) -> None:
    with connect(mail_host.dovecot) as client:
        client.ehlo()
        assert {"pipelining", "8bitmime", "chunking", "enhancedstatuscodes", "starttls"} <= set(client.esmtp_features)
        assert client.mail(mail_host.alice.address)[0] == 250
        assert client.rcpt(mailbox.address)[0] == 250
        code, text = client.rcpt(f"nobody@{DOMAIN}")
        assert (code, text[:5]) == (550, b"5.1.1")
        assert client.rcpt(mail_host.full.address)[0] == 250
        assert client.rcpt(mailbox.address)[0] == 250
        answers = [client.data(MESSAGE), client.getreply(), client.getreply()]

    assert [(code, text[:5]) for code, text in answers] == [(250, b"2.0.0"), (552, b"5.2.2"), (250, b"2.0.0")]
    # An address that is given twice is answered twice, and gets one copy.
    (file,) = mailbox.messages()
    assert file.read_bytes().replace(b"\n", b"\r\n").endswith(MESSAGE)
    assert mail_host.full.messages() == []
