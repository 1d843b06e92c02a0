"""Mechanisms used by name, against the servers that have them.

EXTERNAL is tried over POP3 alone: Postfix 3.7 offers it to nobody, for it tells Dovecot nothing of the client's
certificate.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import mailwire
from mailwire import pop3, sasl, smtp
from mailwire.testing.tls import client_context
from tests.integration.client_certificates import ClientAuthority
from tests.integration.dovecot import TOKEN_SCOPE
from tests.integration.introspection import Token
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox

FOR_PASSWORDS: Mapping[str, Callable[[mailwire.Password], sasl.Mechanism]] = {
    "PLAIN": sasl.Plain,
    "LOGIN": sasl.Login,
    "CRAM-MD5": sasl.CramMD5,
    "SCRAM-SHA-1": lambda credentials: sasl.Scram(credentials, "SHA-1"),
    "SCRAM-SHA-256": lambda credentials: sasl.Scram(credentials, "SHA-256"),
}
FOR_TOKENS: Mapping[str, type[sasl.XOAuth2] | type[sasl.OAuthBearer]] = {
    "XOAUTH2": sasl.XOAuth2,
    "OAUTHBEARER": sasl.OAuthBearer,
}

# What Dovecot says against a token, whatever is wrong with it.
TOKEN_FAILURES: Mapping[str, sasl.OAuthFailure] = {
    "XOAUTH2": sasl.OAuthFailure(
        status="401", schemes="bearer", scope="mail", raw='{"status":"401","schemes":"bearer","scope":"mail"}'
    ),
    "OAUTHBEARER": sasl.OAuthFailure(status="invalid_token", raw='{"status":"invalid_token"}'),
}


def sender(host: MailHost) -> mailwire.SMTPClient:
    endpoint = mailwire.Endpoint("localhost", host.postfix.tls_port, tls_context=client_context())
    return mailwire.SMTPClient(endpoint)


def reader(host: MailHost, context: ssl.SSLContext | None = None) -> mailwire.POP3Client:
    endpoint = mailwire.Endpoint(
        "localhost", host.dovecot.tls_port, protocol="pop3", tls_context=context or client_context()
    )
    return mailwire.POP3Client(endpoint)


def long_token(user: Mailbox) -> str:
    """Return a token of a common size, for which there is no room on the line of an AUTH command."""
    return f"token-of-{user.user}-".ljust(1_200, "x")


async def logs_in(host: MailHost, user: Mailbox, make: Callable[[], sasl.Mechanism]) -> None:
    """Log in to both servers, send a mail to oneself, and see that both know who it is."""
    before = len(user.messages())
    async with sender(host) as client:
        mechanism = make()
        assert mechanism.name in client.extensions.mechanisms
        reply = await client.execute(smtp.Auth(mechanism))
        assert (reply.code, str(reply.enhanced_code)) == (235, "2.7.0")
        await client.send(b"Subject: x\r\n\r\n", sender=user.address, recipients=user.address)
    mail = user.wait_for_messages(before + 1)[-1].read_bytes()
    # Postfix shows a question mark for each octet outside ASCII.
    shown = re.sub(rb"[^ -~]", b"?", user.user.encode())
    assert b"(Authenticated sender: %b)" % shown in mail

    async with reader(host) as client:
        mechanism = make()
        assert mechanism.name in client.capabilities.mechanisms
        await client.execute(pop3.Auth(mechanism))
        assert len(await client.listing()) == before + 1


async def is_refused_by_postfix(host: MailHost, mechanism: sasl.Mechanism) -> None:
    async with sender(host) as client:
        with pytest.raises(mailwire.AuthenticationFailed, match=r"AUTH .* 535 5\.7\.8"):
            await client.execute(smtp.Auth(mechanism))
        assert client.is_connected


async def is_refused_by_dovecot(
    host: MailHost, mechanism: sasl.Mechanism, context: ssl.SSLContext | None = None
) -> None:
    async with reader(host, context) as client:
        with pytest.raises(mailwire.AuthenticationFailed, match=r"AUTH .* -ERR \[AUTH\]"):
            await client.execute(pop3.Auth(mechanism))
        assert client.is_connected


@pytest.mark.parametrize("name", FOR_PASSWORDS)
async def test_a_mechanism_used_by_name_logs_in(mail_host: MailHost, mailbox: Mailbox, name: str) -> None:
    credentials = mailwire.Password(mailbox.user, mailbox.password)
    await logs_in(mail_host, mailbox, lambda: FOR_PASSWORDS[name](credentials))


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-256"])
async def test_a_user_name_and_a_password_outside_ascii_log_in(mail_host: MailHost, name: str) -> None:
    zoe = mail_host.zoe
    credentials = mailwire.Password(zoe.user, zoe.password)
    await logs_in(mail_host, zoe, lambda: FOR_PASSWORDS[name](credentials))


@pytest.mark.parametrize("name", FOR_PASSWORDS)
async def test_a_wrong_password_is_refused_whatever_the_mechanism(
    mail_host: MailHost, mailbox: Mailbox, name: str
) -> None:
    make, credentials = FOR_PASSWORDS[name], mailwire.Password(mailbox.user, "wrong")
    await asyncio.gather(
        is_refused_by_postfix(mail_host, make(credentials)), is_refused_by_dovecot(mail_host, make(credentials))
    )


@pytest.mark.parametrize("name", FOR_TOKENS)
@pytest.mark.parametrize("make_token", [lambda user: f"token-of-{user.user}", long_token], ids=["short", "long"])
async def test_a_token_logs_in(
    mail_host: MailHost, mailbox: Mailbox, make_token: Callable[[Mailbox], str], name: str
) -> None:
    token = make_token(mailbox)
    mail_host.introspection.tokens[token] = Token(mailbox.user, TOKEN_SCOPE)

    await logs_in(mail_host, mailbox, lambda: FOR_TOKENS[name](mailbox.user, token))

    assert mail_host.introspection.asked.count(token) == 2


@pytest.mark.parametrize("name", FOR_TOKENS)
@pytest.mark.parametrize("fault", ["unknown", "expired", "of-another-user", "for-another-purpose"])
async def test_a_token_that_is_not_good_is_refused_and_the_server_says_why(
    mail_host: MailHost, mailbox: Mailbox, name: str, fault: str
) -> None:
    introspection, token = mail_host.introspection, f"token-{fault}-{mailbox.user}"
    match fault:
        case "expired":
            introspection.tokens[token] = Token(mailbox.user, TOKEN_SCOPE, active=False)
        case "of-another-user":
            introspection.tokens[token] = Token(mail_host.alice.user, TOKEN_SCOPE)
        case "for-another-purpose":
            introspection.tokens[token] = Token(mailbox.user, "calendar")
    mechanisms = FOR_TOKENS[name](mailbox.user, token), FOR_TOKENS[name](mailbox.user, token)

    await asyncio.gather(
        is_refused_by_postfix(mail_host, mechanisms[0]), is_refused_by_dovecot(mail_host, mechanisms[1])
    )

    assert [mechanism.failure for mechanism in mechanisms] == [TOKEN_FAILURES[name]] * 2
    assert introspection.asked.count(token) == 2


async def test_external_logs_in_by_the_name_in_the_certificate(mail_host: MailHost, mailbox: Mailbox) -> None:
    async with reader(mail_host, mail_host.client_authority.context_for(mailbox.user)) as client:
        assert "EXTERNAL" in client.capabilities.mechanisms
        await client.execute(pop3.Auth(sasl.ExternalMechanism(sasl.External())))
        assert not await client.listing()


async def test_external_is_refused_without_a_certificate(mail_host: MailHost, mailbox: Mailbox) -> None:
    await is_refused_by_dovecot(mail_host, sasl.ExternalMechanism(sasl.External(mailbox.user)))


async def test_external_is_refused_with_a_certificate_of_an_authority_that_is_not_trusted(
    mail_host: MailHost, mailbox: Mailbox, tmp_path: Path
) -> None:
    context = ClientAuthority(tmp_path / "stranger").context_for(mailbox.user)
    await is_refused_by_dovecot(mail_host, sasl.ExternalMechanism(sasl.External()), context)


async def test_external_is_refused_with_a_certificate_for_nobody_here(mail_host: MailHost) -> None:
    context = mail_host.client_authority.context_for("nobody")
    await is_refused_by_dovecot(mail_host, sasl.ExternalMechanism(sasl.External()), context)


async def test_external_is_refused_for_anyone_but_the_certificates_user(mail_host: MailHost, mailbox: Mailbox) -> None:
    context = mail_host.client_authority.context_for(mailbox.user)
    await is_refused_by_dovecot(mail_host, sasl.ExternalMechanism(sasl.External(mail_host.alice.user)), context)


async def test_apop_logs_in(mail_host: MailHost, mailbox: Mailbox) -> None:
    endpoint = mailwire.Endpoint(
        "localhost",
        mail_host.dovecot.tls_port,
        protocol="pop3",
        tls_context=client_context(),
        auth=mailwire.Password(mailbox.user, mailbox.password),
        auth_preferences=mailwire.Preferences(mechanisms=["APOP"]),
    )
    async with mailwire.POP3Client(endpoint) as client:
        assert client.mechanism == "APOP"
        assert not await client.listing()
    wrong = endpoint.replace(auth=mailwire.Password(mailbox.user, "wrong"))
    with pytest.raises(mailwire.AuthenticationFailed, match=r"APOP .* -ERR \[AUTH\]"):
        await mailwire.POP3Client(wrong).connect()


# Chosen by the clients


def endpoints(host: MailHost, tls: str, **settings: object) -> list[mailwire.Endpoint]:
    postfix, dovecot = host.postfix, host.dovecot
    ports = (postfix.tls_port, dovecot.tls_port) if tls == "implicit" else (postfix.port, dovecot.port)
    return [
        mailwire.Endpoint("localhost", port, protocol=protocol, tls=tls, tls_context=client_context(), **settings)  # type: ignore[arg-type]
        for port, protocol in zip(ports, ("smtp", "pop3"), strict=True)
    ]


async def chosen(endpoint: mailwire.Endpoint) -> str | None:
    if endpoint.protocol == "smtp":
        async with mailwire.SMTPClient(endpoint) as client:
            return client.mechanism
    async with mailwire.POP3Client(endpoint) as client:
        await client.listing()
        return client.mechanism


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_the_clients_choose_the_best_for_a_password(mail_host: MailHost, mailbox: Mailbox, tls: str) -> None:
    for endpoint in endpoints(mail_host, tls, auth=mailwire.Password(mailbox.user, mailbox.password)):
        assert await chosen(endpoint) == "SCRAM-SHA-256"


async def test_the_clients_choose_the_best_for_a_token_and_have_it_renewed(
    mail_host: MailHost, mailbox: Mailbox
) -> None:
    token = f"token-of-{mailbox.user}"
    mail_host.introspection.tokens[token] = Token(mailbox.user, TOKEN_SCOPE)
    asked: list[sasl.OAuthFailure | None] = []

    async def provide(refused: sasl.OAuthFailure | None) -> str:
        asked.append(refused)
        return "expired" if refused is None else token

    for endpoint in endpoints(mail_host, "implicit", auth=mailwire.OAuthToken(mailbox.user, provide)):
        assert await chosen(endpoint) == "OAUTHBEARER"
    assert asked == [None, TOKEN_FAILURES["OAUTHBEARER"]] * 2


async def test_the_clients_choose_external_for_a_certificate(mail_host: MailHost, mailbox: Mailbox) -> None:
    context = mail_host.client_authority.context_for(mailbox.user)
    _, endpoint = endpoints(mail_host, "implicit", auth=mailwire.External())
    assert await chosen(endpoint.replace(tls_context=context)) == "EXTERNAL"
