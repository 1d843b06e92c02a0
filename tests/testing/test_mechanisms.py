"""Every mechanism, used by name by the clients against the server: SMTP and POP3, TLS 1.2 and 1.3."""

import asyncio
import hashlib
import poplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import pytest

from mailwire import Endpoint, POP3Client, SMTPClient, pop3, sasl, smtp
from mailwire.errors import CommandRefused, MailwireError
from mailwire.sasl.channel_binding import BindingType
from mailwire.sasl.keys import HashName
from mailwire.testing import (
    MECHANISMS,
    Account,
    MailServer,
    Policy,
    Session,
    client_context,
    server_context,
)

ALICE = Account("alice", "secret", access_tokens=["token"], certificate_name="alice@example.org")
BOB = Account("bob", "hidden", access_tokens=["other"])
NOBODY = Account("anonymous", "")

Client: TypeAlias = SMTPClient | POP3Client
Protocol: TypeAlias = Literal["smtp", "pop3"]
HASHES: dict[str, HashName] = {"SHA-1": "SHA-1", "SHA-256": "SHA-256", "SHA-512": "SHA-512"}
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
SCRAM_PLUS = [name for name in MECHANISMS if name.endswith("-PLUS")]


class Link:
    """A server, and a client of it under TLS; it knows both ends' sessions."""

    def __init__(
        self,
        protocol: Protocol,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        *,
        tls: Literal["implicit", "starttls"] = "implicit",
        policy: Policy = Policy(mechanisms=MECHANISMS),  # noqa: B008
        certificate: str | None = "alice",
        accounts: tuple[Account, ...] = (ALICE, BOB, NOBODY),
    ) -> None:
        served = server_context(client_certificates=True)
        served.minimum_version = served.maximum_version = version
        self.server = MailServer(accounts, policy=policy, tls_context=served, implicit_tls=tls == "implicit")
        self._protocol = protocol
        self._tls = tls
        self._context = client_context(certificate)
        self._tls_sessions = tls_sessions = list[ssl.SSLObject]()

        class Kept(ssl.SSLObject):
            def do_handshake(self) -> None:
                tls_sessions.append(self)
                super().do_handshake()

        self._context.sslobject_class = Kept

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Client]:
        async with self.server as server:
            port = server.smtp_port if self._protocol == "smtp" else server.pop3_port
            settings = Endpoint("localhost", port, self._protocol, self._tls, self._context)
            client = SMTPClient(settings) if self._protocol == "smtp" else POP3Client(settings)
            async with client:
                yield client

    @property
    def session(self) -> Session:
        """The server's end."""
        return (self.server.smtp_sessions + self.server.pop3_sessions)[0]

    def binding(self, name: BindingType) -> sasl.ChannelBinding:
        """What the client sees of TLS."""
        tls = self._tls_sessions[-1]
        if name == "tls-unique":
            data = tls.get_channel_binding(name)
        else:
            # The certificate is signed with SHA-256 (RFC 5929 4.1).
            data = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").digest()
        assert data
        return sasl.ChannelBinding(name, data)


def offered(client: Client) -> tuple[str, ...]:
    mechanisms = client.extensions.mechanisms if isinstance(client, SMTPClient) else client.capabilities.mechanisms
    return tuple(mechanisms)


async def authenticate(client: Client, mechanism: sasl.Mechanism) -> None:
    if isinstance(client, SMTPClient):
        reply = await client.execute(smtp.Auth(mechanism))
        assert reply.code == 235
    else:
        await client.execute(pop3.Auth(mechanism))
        assert await client.execute(pop3.Stat())


async def refuse(client: Client, mechanism: sasl.Mechanism) -> None:
    """Be refused as somebody who proves nothing, and go on."""
    if isinstance(client, SMTPClient):
        with pytest.raises(CommandRefused, match=r"535 5\.7\.8"):
            await client.execute(smtp.Auth(mechanism))
        await client.execute(smtp.Noop())
    else:
        with pytest.raises(CommandRefused, match=r"\[AUTH\]"):
            await client.execute(pop3.Auth(mechanism))
        await client.execute(pop3.Capa())


def mechanism(
    name: str, *, link: Link, user: str = "alice", password: str = "secret", token: str = "token"
) -> sasl.Mechanism:
    """The client's side of the mechanism called `name`, for somebody with these credentials."""
    credentials = sasl.Password(user, password)
    match name.removesuffix("-PLUS").partition("SCRAM-"):
        case ("", "SCRAM-", hash_name):
            binding = link.binding("tls-server-end-point") if name in SCRAM_PLUS else None
            return sasl.Scram(credentials, HASHES[hash_name], binding, server_offers_plus=name in SCRAM_PLUS)
        case ("OAUTHBEARER", _, _):
            return sasl.OAuthBearer(user, token, host="localhost")
        case ("XOAUTH2", _, _):
            return sasl.XOAuth2(user, token)
        case ("EXTERNAL", _, _):
            return sasl.ExternalMechanism(sasl.External(user))
        case ("PLAIN", _, _):
            return sasl.Plain(credentials)
        case ("LOGIN", _, _):
            return sasl.Login(credentials)
        case ("CRAM-MD5", _, _):
            return sasl.CramMD5(credentials)
    assert name == "ANONYMOUS"
    return sasl.AnonymousMechanism(sasl.Anonymous(f"{user}@example.org"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
@pytest.mark.parametrize("name", MECHANISMS)
async def test_a_mechanism_used_by_name_logs_in(name: str, protocol: Protocol, version: ssl.TLSVersion) -> None:
    link = Link(protocol, version)
    async with link.open() as client:
        assert offered(client) == MECHANISMS
        used = mechanism(name, link=link)
        assert used.name == name
        await authenticate(client, used)

    assert link.session.user == ("anonymous" if name == "ANONYMOUS" else "alice")


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
@pytest.mark.parametrize("name", MECHANISMS)
async def test_a_mechanism_logs_in_behind_starttls(name: str, protocol: Protocol) -> None:
    link = Link(protocol, tls="starttls")
    async with link.open() as client:
        assert offered(client) == MECHANISMS
        await authenticate(client, mechanism(name, link=link))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
@pytest.mark.parametrize("name", sorted(set(MECHANISMS) - {"ANONYMOUS"}))
async def test_what_does_not_belong_together_is_refused(name: str, protocol: Protocol, version: ssl.TLSVersion) -> None:
    link = Link(protocol, version)
    async with link.open() as client:
        await refuse(client, mechanism(name, link=link, user="bob"))
        if name == "EXTERNAL":
            assert link.session.denial == "not-authorized"
        else:
            await refuse(client, mechanism(name, link=link, password="wrong", token="wrong"))
            assert link.session.denial == ("invalid-token" if "OAUTH" in name else "invalid-proof")
        assert link.session.user is None
        # It is no reason to stay outside.
        await authenticate(client, mechanism(name, link=link))


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_nobody_is_let_in_where_there_is_no_account_for_nobody(protocol: Protocol) -> None:
    link = Link(protocol, accounts=(ALICE,))
    async with link.open() as client:
        await refuse(client, mechanism("ANONYMOUS", link=link))


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_certificate_of_somebody_who_has_no_account_is_refused(protocol: Protocol) -> None:
    link = Link(protocol, accounts=(BOB,))
    async with link.open() as client:
        await refuse(client, sasl.ExternalMechanism(sasl.External()))
        assert link.session.denial == "unknown-user"


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_client_without_a_certificate_is_not_offered_external(protocol: Protocol) -> None:
    link = Link(protocol, certificate=None)
    async with link.open() as client:
        assert set(MECHANISMS) - set(offered(client)) == {"EXTERNAL"}
        with pytest.raises(CommandRefused, match="Unknown mechanism"):
            await authenticate(client, sasl.ExternalMechanism(sasl.External()))


# What the server says of a token


@pytest.mark.parametrize(("name", "status"), [("OAUTHBEARER", "invalid_token"), ("XOAUTH2", "401")])
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_the_client_learns_why_a_token_is_refused(protocol: Protocol, name: str, status: str) -> None:
    link = Link(protocol, policy=Policy(mechanisms=MECHANISMS, oauth_scope="mail.example.org"))
    async with link.open() as client:
        used = mechanism(name, link=link, token="wrong")
        assert isinstance(used, sasl.OAuthBearer | sasl.XOAuth2)
        await refuse(client, used)

    assert used.failure is not None
    assert (used.failure.status, used.failure.scope) == (status, "mail.example.org")


# Channel binding


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
@pytest.mark.parametrize("hash_name", HASHES.values())
async def test_tls_1_2_can_be_bound_to_by_its_finished_message(protocol: Protocol, hash_name: HashName) -> None:
    link = Link(protocol, ssl.TLSVersion.TLSv1_2)
    async with link.open() as client:
        binding = link.binding("tls-unique")
        await authenticate(
            client, sasl.Scram(sasl.Password("alice", "secret"), hash_name, binding, server_offers_plus=True)
        )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
@pytest.mark.parametrize(
    ("binding", "reason"),
    [
        (sasl.ChannelBinding("tls-server-end-point", b"of somebody between"), "channel-bindings-dont-match"),
        (sasl.ChannelBinding("tls-unique", b"of somebody between"), None),
    ],
)
async def test_a_proof_from_another_tls_session_is_refused(
    protocol: Protocol, version: ssl.TLSVersion, binding: sasl.ChannelBinding, reason: str | None
) -> None:
    link = Link(protocol, version)
    async with link.open() as client:
        await refuse(client, sasl.Scram(sasl.Password("alice", "secret"), "SHA-256", binding, server_offers_plus=True))
        if reason is None:
            has_unique = version == ssl.TLSVersion.TLSv1_2
            reason = "channel-bindings-dont-match" if has_unique else "unsupported-channel-binding-type"
        assert link.session.denial == reason


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_client_from_which_the_offer_was_hidden_is_refused(protocol: Protocol) -> None:
    link = Link(protocol)
    async with link.open() as client:
        binding = link.binding("tls-server-end-point")
        await refuse(client, sasl.Scram(sasl.Password("alice", "secret"), "SHA-256", binding))
        assert link.session.denial == "server-does-support-channel-binding"


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_client_that_could_bind_logs_in_where_it_is_not_offered(protocol: Protocol) -> None:
    link = Link(protocol, policy=Policy(mechanisms=("SCRAM-SHA-256",)))
    async with link.open() as client:
        binding = link.binding("tls-server-end-point")
        await authenticate(client, sasl.Scram(sasl.Password("alice", "secret"), "SHA-256", binding))


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_client_refuses_a_server_that_iterates_too_little(protocol: Protocol) -> None:
    link = Link(protocol, policy=Policy(mechanisms=MECHANISMS, scram_iterations=4095))
    async with link.open() as client:
        used = mechanism("SCRAM-SHA-256", link=link)
        with pytest.raises(MailwireError):
            await authenticate(client, used)
        client.abort()

    # It was not the server that refused.
    assert link.session.user is None
    assert link.session.denial is None


# APOP, which is no mechanism of SASL


async def test_poplib_logs_in_by_apop() -> None:
    def log_in(server: MailServer) -> None:
        client = poplib.POP3_SSL(server.host, server.pop3_port, context=client_context())
        with pytest.raises(poplib.error_proto, match="AUTH"):
            client.apop("alice", "wrong")
        client.apop("alice", "secret")
        client.quit()

    async with MailServer([ALICE], policy=Policy(apop=True), tls_context=server_context(), implicit_tls=True) as server:
        await asyncio.to_thread(log_in, server)
        await server.wait_idle()

    assert server.pop3_sessions[0].user == "alice"
    assert server.pop3_sessions[0].denial == "invalid-proof"
