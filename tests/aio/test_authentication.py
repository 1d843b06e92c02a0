"""Logging in: which mechanism is used, what the server learns by it, and what a refusal leads to."""

import asyncio
import base64
import functools
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from mailwire import (
    Anonymous,
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    Endpoint,
    External,
    LocalProtocolError,
    OAuthToken,
    Password,
    POP3Client,
    Preferences,
    RemoteProtocolError,
    ReplyError,
    ResponseError,
    SecurityError,
    ServerUnproven,
    SMTPClient,
    Timeouts,
    pop3,
    sasl,
    smtp,
)
from mailwire.aio.authentication import MechanismUnavailable, TokenRefused, authenticate
from mailwire.sasl import Mechanism, Situation
from mailwire.sasl.channel_binding import BindingType, ChannelBinding
from mailwire.sasl.keys import Keys
from mailwire.sasl.work import Work
from mailwire.testing import (
    FIN,
    LISTEN,
    STALL,
    Account,
    Answers,
    MailServer,
    Policy,
    ScriptedPeer,
    Step,
    Tls,
    client_context,
    server_context,
)
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import CANARY, POP3_ANSWERS, SMTP_ANSWERS, announced, capabilities, extensions
from tests.sasl.secrecy import assert_hidden, is_ours_to_answer_for

TOKEN = "kan4rienvogel.oauth"
PASSWORD = Password("bob", CANARY)
BEARER = OAuthToken("bob", TOKEN)
PLAIN = base64.b64encode(b"\0bob\0" + CANARY.encode()).decode()

Client = SMTPClient | POP3Client


def client_for(endpoint: Endpoint) -> Client:
    return SMTPClient(endpoint) if endpoint.protocol == "smtp" else POP3Client(endpoint)


def offer(protocol: str, *mechanisms: str) -> tuple[Step, ...]:
    if protocol == "smtp":
        return extensions(f"AUTH {' '.join(mechanisms)}")
    return capabilities(f"SASL {' '.join(mechanisms)}")


def refusal(protocol: str, text: str = "535 5.7.8 no") -> Step:
    return f"S: {text}" if protocol == "smtp" else "S: -ERR [AUTH] no"


async def login(peer: ScriptedPeer, protocol: str, auth: object = PASSWORD, **settings: Any) -> Client:
    endpoint = peer.endpoint(protocol=protocol, auth=auth, **{"allow_cleartext_auth": True, **settings})
    client = client_for(endpoint)
    await client.connect()
    return client


@pytest.fixture(params=["smtp", "pop3"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Whisper(Mechanism):
    """Says a word when asked for it."""

    name = "X-WHISPER"
    exposes_password = False

    def initial_response(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        return challenge[::-1]


async def by_hand(client: Client, for_smtp: smtp.Command[object], for_pop3: pop3.Command[object]) -> None:
    if isinstance(client, SMTPClient):
        await client.execute(for_smtp)
    else:
        await client.execute(for_pop3)


# With a server that has them all


def accounts() -> list[Account]:
    return [
        Account("bob", CANARY, ("bob@example.org",), access_tokens=[TOKEN]),
        Account("alice", "", ("alice@example.org",), certificate_name="alice"),
        Account("anonymous", "", ("anonymous@example.org",)),
    ]


def endpoint_of(server: MailServer, protocol: str, **settings: Any) -> Endpoint:
    port = server.smtp_port if protocol == "smtp" else server.pop3_port
    return Endpoint("localhost", port, protocol=protocol, **{"tls_context": client_context("alice"), **settings})  # type: ignore[arg-type]


def tls_server(*mechanisms: str, **policy: Any) -> MailServer:
    return MailServer(
        accounts(),
        policy=Policy(mechanisms=mechanisms, **policy),
        tls_context=server_context(client_certificates=True),
        implicit_tls=True,
    )


EVERY = tuple(option.name for option in sasl.MECHANISMS)


@pytest.mark.parametrize(
    ("offered", "auth", "chosen"),
    [
        (EVERY, PASSWORD, "SCRAM-SHA-512-PLUS"),
        (("SCRAM-SHA-1-PLUS", "SCRAM-SHA-512"), PASSWORD, "SCRAM-SHA-1-PLUS"),
        (("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"), PASSWORD, "SCRAM-SHA-256"),
        (("LOGIN", "PLAIN", "CRAM-MD5"), PASSWORD, "PLAIN"),
        (("LOGIN", "CRAM-MD5"), PASSWORD, "LOGIN"),
        (EVERY, BEARER, "OAUTHBEARER"),
        (("XOAUTH2",), BEARER, "XOAUTH2"),
        (EVERY, External(), "EXTERNAL"),
        (EVERY, Anonymous("bob@example.org"), "ANONYMOUS"),
    ],
)
async def test_the_best_mechanism_that_both_have_logs_in(
    protocol: str, offered: tuple[str, ...], auth: sasl.Credentials, chosen: str
) -> None:
    async with tls_server(*offered) as server:
        async with client_for(endpoint_of(server, protocol, auth=auth)) as client:
            assert client.mechanism == chosen
        assert client.mechanism == chosen


@pytest.mark.parametrize("name", EVERY)
async def test_a_mechanism_that_is_named_is_the_one_that_is_used(protocol: str, name: str) -> None:
    auth = next(
        auth
        for auth in (PASSWORD, BEARER, External(), Anonymous())
        for option in sasl.MECHANISMS
        if option.name == name and isinstance(auth, option.takes)
    )
    async with tls_server(*EVERY) as server:
        endpoint = endpoint_of(server, protocol, auth=auth, auth_preferences=Preferences(mechanisms=[name.lower()]))
        async with client_for(endpoint) as client:
            assert client.mechanism == name


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("EXTERNAL", "ANONYMOUS")])
async def test_wrong_credentials_are_refused_whatever_the_mechanism(protocol: str, name: str) -> None:
    auth = OAuthToken("bob", "wrong") if "OAUTH" in name else Password("bob", "wrong")
    async with tls_server(*EVERY) as server:
        endpoint = endpoint_of(server, protocol, auth=auth, auth_preferences=Preferences(mechanisms=[name]))
        client = client_for(endpoint)
        with pytest.raises(AuthenticationFailed) as caught:
            await client.connect()
        assert not isinstance(caught.value, ServerUnproven)
        assert caught.value.answer is not None
        assert not caught.value.is_transient
        assert not client.is_connected
        assert client.mechanism is None
        assert (caught.value.oauth is not None) is ("OAUTH" in name)


async def test_apop_is_used_where_it_is_named() -> None:
    async with tls_server("PLAIN", apop=True) as server:
        endpoint = endpoint_of(server, "pop3", auth=PASSWORD, auth_preferences=Preferences(mechanisms=["APOP"]))
        async with POP3Client(endpoint) as client:
            assert client.mechanism == "APOP"
        with pytest.raises(AuthenticationFailed, match=r"APOP bob \*\*\*\*: -ERR \[AUTH\]"):
            await POP3Client(endpoint.replace(auth=Password("bob", "wrong"))).connect()


async def test_apop_needs_a_timestamp_in_the_greeting() -> None:
    async with ScriptedPeer(*capabilities("USER"), LISTEN) as peer:
        with pytest.raises(AuthenticationFailed, match="offers no mechanism for Password that may be used"):
            await login(peer, "pop3", auth_preferences=Preferences(mechanisms=["APOP"]))


async def test_user_and_pass_can_be_named() -> None:
    async with tls_server("PLAIN") as server:
        endpoint = endpoint_of(server, "pop3", auth=PASSWORD, auth_preferences=Preferences(mechanisms=["USER"]))
        async with POP3Client(endpoint) as client:
            assert client.mechanism == "USER"


async def test_a_user_and_a_password_beyond_ascii_log_in(protocol: str) -> None:
    auth = Password("zoë", "pässwörd ☃")
    for name in ("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"):
        async with tls_server(name) as server:
            server.maildrop.add(Account(auth.user, auth.password, ("zoe@example.org",)))
            endpoint = endpoint_of(server, protocol, auth=auth, auth_preferences=Preferences(mechanisms=[name]))
            async with client_for(endpoint) as client:
                assert client.mechanism == name


# One attempt


@pytest.mark.parametrize(
    "answer",
    [
        "535 5.7.8 no",
        "454 4.7.0 later",
        "500 what",
        "530 no",
        "550 5.7.1 no",
        *(f"{code} {enhanced} no" for code in (432, 454, 530, 535, 554) for enhanced in ("5.5.4", "5.7.9", "5.7.11")),
    ],
)
async def test_refused_credentials_are_not_presented_by_another_mechanism(answer: str) -> None:
    async with ScriptedPeer(*offer("smtp", "PLAIN", "LOGIN"), f"C: AUTH PLAIN {PLAIN}", f"S: {answer}") as peer:
        with pytest.raises(AuthenticationFailed) as caught:
            await login(peer, "smtp")
    assert caught.value.is_transient is answer.startswith("4")
    assert caught.value.command == "AUTH PLAIN ****"


@pytest.mark.parametrize("answer", ["220 hello", "221 bye"])
async def test_a_greeting_or_a_farewell_is_no_login(answer: str) -> None:
    async with ScriptedPeer(*offer("smtp", "PLAIN", "LOGIN"), f"C: AUTH PLAIN {PLAIN}", f"S: {answer}") as peer:
        with pytest.raises(
            RemoteProtocolError, match=rf"expected a final reply to AUTH PLAIN \*\*\*\*, got '{answer}'"
        ):
            await login(peer, "smtp")


@pytest.mark.parametrize(
    "answer",
    [
        "504 what",
        "534 5.7.9 weak",
        "538 5.7.11 tls",
        "500 5.5.4 x",
        "501 5.7.11 x",
        "502 5.5.4 x",
        "550 5.5.4 unknown",
    ],
)
async def test_the_next_mechanism_is_used_where_the_server_does_not_have_the_first(answer: str) -> None:
    script = (f"C: AUTH PLAIN {PLAIN}", f"S: {answer}", "C: AUTH LOGIN", "S: 535 no")
    async with ScriptedPeer(*offer("smtp", "PLAIN", "LOGIN"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match="AUTH LOGIN: 535 no"):
            await login(peer, "smtp")


async def test_the_last_mechanism_that_the_server_does_not_have_is_told() -> None:
    script = (f"C: AUTH PLAIN {PLAIN}", "S: 504 no", "C: AUTH LOGIN", "S: 504 neither")
    async with ScriptedPeer(*offer("smtp", "PLAIN", "LOGIN"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match="AUTH LOGIN: 504 neither"):
            await login(peer, "smtp")


async def test_in_pop3_a_refusal_before_anything_was_said_is_one_of_the_mechanism() -> None:
    script = ("C: AUTH LOGIN", "S: -ERR unknown", "C: USER bob", "S: +OK", f"C: PASS {CANARY}", "S: -ERR no")
    async with ScriptedPeer(*capabilities("SASL LOGIN", "USER"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match="PASS"):
            await login(peer, "pop3")


@pytest.mark.parametrize(
    "script",
    [
        ("C: AUTH LOGIN", "S: -ERR [AUTH] no"),
        ("C: AUTH LOGIN", "S: + ", "C: Ym9i", "S: -ERR no"),
    ],
)
async def test_in_pop3_a_refusal_with_a_code_or_behind_a_word_of_ours_is_the_end(script: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*capabilities("SASL LOGIN", "USER"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match="AUTH LOGIN: -ERR"):
            await login(peer, "pop3")


async def test_credentials_that_one_mechanism_cannot_present_may_be_right_for_the_next() -> None:
    auth = Password("bob", "tab\there")  # a control character, which SASLprep refuses
    message = base64.b64encode(b"\0bob\0tab\there").decode()
    script = (f"C: AUTH PLAIN {message}", "S: 235 ok", "C: QUIT", "S: 221 bye")
    async with ScriptedPeer(*offer("smtp", "SCRAM-SHA-256", "PLAIN"), *script) as peer:
        client = await login(peer, "smtp", auth)
        assert client.mechanism == "PLAIN"
        await client.quit()


async def test_credentials_that_no_mechanism_can_present_are_told_without_being_shown(protocol: str) -> None:
    auth = Password("bob", CANARY, authzid="kurt")
    async with ScriptedPeer(*offer(protocol, "LOGIN"), LISTEN) as peer:
        with pytest.raises(AuthenticationFailed, match=r"LOGIN cannot present these credentials: .* authzid") as caught:
            await login(peer, protocol, auth)
    assert CANARY not in str(caught.value)
    assert caught.value.command == "AUTH LOGIN"
    assert b"AUTH" not in peer.wire


@pytest.mark.parametrize(
    ("name", "auth", "problem"),
    [
        ("USER", Password("bob", CANARY, authzid="kurt"), "USER has no place for an authzid"),
        ("APOP", Password("bob", CANARY, authzid="kurt"), "APOP has no place for an authzid"),
        ("USER", Password("bob", f"{CANARY}\t"), "a password must not hold control characters"),
        ("USER", Password("bob\x7f", CANARY), "a user name must not hold control characters"),
        ("USER", Password("bob", ""), "a password must not be empty"),
        ("USER", Password("", CANARY), "a user name must not be empty"),
        ("APOP", Password("bob the builder", CANARY), "must not be empty, nor hold a blank"),
    ],
)
async def test_credentials_for_which_pop3_has_no_form_are_told_before_anything_is_said(
    name: str, auth: Password, problem: str
) -> None:
    greeted = ("S: +OK <1896.697170952@dbc.mtview.ca.us>", "C: CAPA", "S: +OK", "S: USER", "S: .")
    async with ScriptedPeer(*greeted, LISTEN) as peer:
        with pytest.raises(
            AuthenticationFailed, match=f"{name} cannot present these credentials: .*{problem}"
        ) as caught:
            await login(peer, "pop3", auth, auth_preferences=Preferences(mechanisms=[name]))
    assert caught.value.command == name
    assert peer.commands == ["CAPA"]
    assert CANARY not in str(caught.value)


async def test_credentials_that_user_cannot_present_may_be_right_for_the_next() -> None:
    message = base64.b64encode(b"kurt\0bob\0" + CANARY.encode()).decode()
    script = (*capabilities("USER", "SASL PLAIN"), f"C: AUTH PLAIN {message}", "S: +OK")
    script += (*announced("USER"), "C: QUIT", "S: +OK bye")
    async with ScriptedPeer(*script) as peer:
        client = await login(
            peer,
            "pop3",
            Password("bob", CANARY, authzid="kurt"),
            auth_preferences=Preferences(mechanisms=["USER", "PLAIN"]),
        )
        assert client.mechanism == "PLAIN"
        await client.quit()


async def test_an_authzid_for_xoauth2_is_refused_before_anything_is_said(protocol: str) -> None:
    async with ScriptedPeer(*offer(protocol, "XOAUTH2"), LISTEN) as peer:
        with pytest.raises(AuthenticationFailed, match="XOAUTH2 has no place for an authzid"):
            await login(peer, protocol, OAuthToken("bob", TOKEN, authzid="kurt"))
    assert TOKEN.encode() not in peer.wire


async def test_a_second_login_is_refused_clearly(protocol: str) -> None:
    async with tls_server("PLAIN") as server, client_for(endpoint_of(server, protocol, auth=PASSWORD)) as client:
        with pytest.raises(LocalProtocolError, match=r"authenticated already|the maildrop is open"):
            await by_hand(client, smtp.Auth(sasl.Plain(PASSWORD)), pop3.Auth(sasl.Plain(PASSWORD)))
        assert client.is_connected


# What leaves on a link without TLS

SECRETS = [CANARY.encode(), TOKEN.encode()]
SECRETS += [base64.b64encode(b"x" * shift + secret)[4:-4] for secret in SECRETS for shift in range(3)]
SECRETS += [secret.hex().encode() for secret in SECRETS]


@pytest.mark.parametrize("name", [*EVERY, "USER", "APOP"])
async def test_no_secret_leaves_on_an_open_link_unasked_for(protocol: str, name: str) -> None:
    greeting = "S: +OK <1896.697170952@dbc.mtview.ca.us>" if protocol == "pop3" else "S: 220 mx"
    table = {**POP3_ANSWERS, **SMTP_ANSWERS, "EHLO": f"250-mx\n250 AUTH {name}", "CAPA": f"+OK\nSASL {name}\nUSER\n."}
    table["AUTH"] = "535 no" if protocol == "smtp" else "-ERR [AUTH] no"
    preferences = Preferences(mechanisms=[name])
    for auth in (PASSWORD, BEARER, External(), Anonymous(), lambda: sasl.Plain(PASSWORD)):
        async with ScriptedPeer(greeting, Answers(table), LISTEN, lenient=True) as peer:
            with pytest.raises((SecurityError, AuthenticationFailed)):
                await login(peer, protocol, auth, allow_cleartext_auth=False, auth_preferences=preferences)
        assert not any(secret in peer.wire for secret in SECRETS)
        assert b"PASS" not in peer.wire
        if auth is PASSWORD and not name.startswith("SCRAM"):
            assert b"AUTH" not in peer.wire
            assert b"APOP" not in peer.wire


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_on_an_open_link_scram_logs_in(protocol: str, name: str) -> None:
    async with MailServer(accounts(), policy=Policy(mechanisms=(name, "PLAIN"))) as server:
        client = client_for(endpoint_of(server, protocol, auth=PASSWORD, tls="none", tls_context=None))
        await client.connect()
        assert client.mechanism == name
        await client.quit()


async def test_tls_that_a_stream_came_with_may_end_at_a_proxy(protocol: str) -> None:
    hello = offer(protocol, "PLAIN")
    for leave, ending in ((False, (LISTEN,)), (True, (f"C: AUTH PLAIN {PLAIN}", refusal(protocol), LISTEN))):
        async with ScriptedPeer(Tls(), *hello, *ending) as peer:

            async def connect(peer: ScriptedPeer = peer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                end = await peer.connect()
                return await asyncio.open_connection(sock=end, ssl=client_context(), server_hostname="localhost")

            client = client_for(
                peer.endpoint(protocol=protocol, auth=PASSWORD, connect=connect, allow_cleartext_auth=leave)
            )
            with pytest.raises(AuthenticationFailed if leave else SecurityError):
                await client.connect()
        assert (b"AUTH" in peer.heard) is leave


EXPOSING: dict[str, Callable[[], Mechanism]] = {
    "PLAIN": lambda: sasl.Plain(PASSWORD),
    "LOGIN": lambda: sasl.Login(PASSWORD),
    "CRAM-MD5": lambda: sasl.CramMD5(PASSWORD),
    "OAUTHBEARER": lambda: sasl.OAuthBearer("bob", TOKEN),
    "XOAUTH2": lambda: sasl.XOAuth2("bob", TOKEN),
}


def test_every_mechanism_that_exposes_something_is_tried_by_hand() -> None:
    assert {option.name for option in sasl.MECHANISMS if option.exposes_password} == set(EXPOSING)


@pytest.mark.parametrize("name", EXPOSING)
async def test_a_login_by_hand_does_not_cross_an_open_link_either(protocol: str, name: str) -> None:
    quitting = ("C: QUIT", "S: 221 bye" if protocol == "smtp" else "S: +OK bye")
    async with ScriptedPeer(*offer(protocol, name), *quitting) as peer:
        client = client_for(peer.endpoint(protocol=protocol))
        await client.connect()
        with pytest.raises(SecurityError, match=f"^AUTH {name} .*would give .* allow_cleartext_auth=True"):
            await by_hand(client, smtp.Auth(EXPOSING[name]()), pop3.Auth(EXPOSING[name]()))
        await client.quit()


@pytest.mark.parametrize(
    "command", [lambda: pop3.Pass(CANARY), lambda: pop3.Apop("bob", CANARY, b"<1@x>")], ids=["PASS", "APOP"]
)
async def test_nor_does_a_login_of_pop3_by_hand(command: Callable[[], pop3.Command[object]]) -> None:
    async with ScriptedPeer(*capabilities("USER"), "C: QUIT", "S: +OK bye") as peer:
        client = POP3Client(peer.endpoint(protocol="pop3"))
        await client.connect()
        with pytest.raises(SecurityError, match=r"^(PASS|APOP bob) .*would give .* allow_cleartext_auth=True"):
            await client.execute(command())
        await client.quit()


async def test_a_login_by_hand_is_refused_as_a_login() -> None:
    async with tls_server("PLAIN") as server:
        wrong = sasl.Plain(Password("bob", "wrong"))
        async with SMTPClient(endpoint_of(server, "smtp")) as sender:
            with pytest.raises(AuthenticationFailed):
                await sender.execute(smtp.Auth(wrong))
            assert sender.is_connected
        async with POP3Client(endpoint_of(server, "pop3")) as reader:
            with pytest.raises(AuthenticationFailed):
                await reader.execute(pop3.Pass("wrong"))


async def test_a_mechanism_that_gives_nothing_away_may_be_used_by_hand_on_an_open_link() -> None:
    script = ("C: AUTH X-WHISPER", "S: 334 YWJj", "C: Y2Jh", "S: 235 ok", "C: QUIT", "S: 221 bye")
    async with ScriptedPeer(*offer("smtp", "X-WHISPER"), *script) as peer, SMTPClient(peer.endpoint()) as sender:
        assert (await sender.execute(smtp.Auth(Whisper()))).code == 235
    script = ("C: AUTH X-WHISPER", "S: + YWJj", "C: Y2Jh", "S: +OK in", "C: QUIT", "S: +OK bye")
    async with ScriptedPeer(*offer("pop3", "X-WHISPER"), *script) as peer:
        reader = POP3Client(peer.endpoint(protocol="pop3"))
        await reader.connect()
        assert (await reader.execute(pop3.Auth(Whisper()))).text == "in"
        await reader.quit()


async def test_tls_cannot_be_begun_by_hand(protocol: str) -> None:
    async with tls_server() as server, client_for(endpoint_of(server, protocol)) as client:
        with pytest.raises(LocalProtocolError, match='tls="starttls"'):
            await by_hand(client, smtp.StartTls(), pop3.Stls())
        assert client.is_connected


# What was there the last time


async def test_a_mechanism_that_has_disappeared_is_reported(protocol: str) -> None:
    preferences = Preferences(remembered="SCRAM-SHA-256")
    async with tls_server("PLAIN", "LOGIN") as server:
        endpoint = endpoint_of(server, protocol, auth=PASSWORD, auth_preferences=preferences)
        with pytest.raises(SecurityError, match="nothing as good as SCRAM-SHA-256 any more, it has PLAIN, LOGIN"):
            await client_for(endpoint).connect()


async def test_a_better_mechanism_than_the_remembered_is_welcome(protocol: str) -> None:
    preferences = Preferences(remembered="scram-sha-1")
    async with tls_server("SCRAM-SHA-512", "PLAIN") as server:
        endpoint = endpoint_of(server, protocol, auth=PASSWORD, auth_preferences=preferences)
        async with client_for(endpoint) as client:
            assert client.mechanism == "SCRAM-SHA-512"


# A mechanism of the caller's own


async def test_a_mechanism_of_ones_own_logs_in() -> None:
    script = ("C: AUTH X-WHISPER", "S: 334 YWJj", "C: Y2Jh", "S: 235 ok", "C: QUIT", "S: 221 bye")
    async with ScriptedPeer(*offer("smtp", "X-WHISPER"), *script) as peer:
        client = await login(peer, "smtp", Whisper, allow_cleartext_auth=False)
        assert client.mechanism == "X-WHISPER"
        await client.quit()


@pytest.mark.parametrize("answer", ["504 no", "535 no"])
async def test_a_mechanism_of_ones_own_that_is_refused_is_told(answer: str) -> None:
    async with ScriptedPeer(*offer("smtp", "X-WHISPER", "PLAIN"), "C: AUTH X-WHISPER", f"S: {answer}") as peer:
        with pytest.raises(AuthenticationFailed, match=f"AUTH X-WHISPER: {answer}"):
            await login(peer, "smtp", Whisper)


class Late(sasl.Mechanism):
    """Has its properties from the first response on."""

    name = "PLAIN"

    def initial_response(self) -> bytes:
        self._said = b"\0bob\0abc"
        self._is_over = True
        return self._said

    def respond(self, challenge: bytes) -> bytes:
        raise AssertionError("there is one response")

    @property
    def is_complete(self) -> bool:
        return self._is_over

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (self._said,)


async def test_a_mechanism_of_ones_own_is_asked_for_nothing_before_its_first_response() -> None:
    script = ("C: AUTH PLAIN AGJvYgBhYmM=", "S: 235 ok", "C: QUIT", "S: 221 bye")
    async with ScriptedPeer(*offer("smtp", "PLAIN"), *script) as peer:
        client = await login(peer, "smtp", Late)
        assert client.mechanism == "PLAIN"
        await client.quit()


class Vault:
    """Makes a mechanism, or does not, and shows what it knows."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem

    def __repr__(self) -> str:
        return CANARY

    def open(self) -> Mechanism:
        if self.problem is not None:
            raise self.problem
        return sasl.Plain(PASSWORD)


@pytest.mark.parametrize("problem", [None, LookupError("where is it?")])
async def test_what_makes_a_mechanism_shows_nothing_by_what_it_holds(protocol: str, problem: Exception | None) -> None:
    for make in (functools.partial(Vault.open, Vault(problem)), Vault(problem).open):
        async with ScriptedPeer(
            *offer(protocol, "PLAIN"), "C: AUTH ...", refusal(protocol), LISTEN, lenient=True
        ) as peer:
            endpoint = peer.endpoint(protocol=protocol, auth=make, allow_cleartext_auth=True)
            with pytest.raises(AuthenticationFailed if problem is None else LookupError) as caught:
                await client_for(endpoint).connect()
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        ours = [frame for frame in frames if is_ours_to_answer_for(frame.filename)]
        assert len(ours) > 3
        assert not any(CANARY in shown for frame in ours for shown in (frame.locals or {}).values())


async def test_a_mechanism_of_ones_own_that_is_not_offered_is_not_tried(protocol: str) -> None:
    async with ScriptedPeer(*offer(protocol, "PLAIN"), LISTEN) as peer:
        with pytest.raises(AuthenticationFailed, match="does not offer X-WHISPER: it has PLAIN"):
            await login(peer, protocol, Whisper)
    assert b"AUTH" not in peer.wire


# Servers that break the exchange


@pytest.mark.parametrize(
    "script",
    [
        ("S: 334 !!!!", "C: *", "S: 501 cancelled"),
        ("S: 334 dXNlcg==", "C: Ym9i", "S: 334 ", "C: ...", "S: 334 ", "C: *", "S: 535 no"),
    ],
    ids=["base64", "endless"],
)
async def test_an_exchange_that_we_cancelled_ends_the_connection(script: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*extensions("AUTH LOGIN"), "C: AUTH LOGIN", *script) as peer:
        client = SMTPClient(peer.endpoint(allow_cleartext_auth=True))
        await client.connect()
        with pytest.raises(AuthenticationFailed):
            await client.execute(smtp.Auth(sasl.Login(PASSWORD)))
        assert not client.is_connected


async def test_a_pop3_exchange_that_we_cancelled_ends_the_connection() -> None:
    script = ("C: AUTH LOGIN", "S: + !!!!", "C: *", "S: -ERR cancelled")
    async with ScriptedPeer(*capabilities("SASL LOGIN"), *script) as peer:
        client = POP3Client(peer.endpoint(protocol="pop3", allow_cleartext_auth=True))
        await client.connect()
        with pytest.raises(AuthenticationFailed, match="expected a challenge in base64, got b'!!!!'; -ERR cancelled"):
            await client.execute(pop3.Auth(sasl.Login(PASSWORD)))
        assert not client.is_connected


async def test_a_success_before_the_server_has_proved_itself_is_none(protocol: str) -> None:
    success = "S: 235 ok" if protocol == "smtp" else "S: +OK"
    async with ScriptedPeer(*offer(protocol, "SCRAM-SHA-256"), "C: AUTH SCRAM-SHA-256 ...", success, STALL) as peer:
        with pytest.raises(ServerUnproven, match="reports success before the exchange is complete") as caught:
            await login(peer, protocol)
    assert isinstance(caught.value, AuthenticationFailed)
    assert isinstance(caught.value, SecurityError)


async def test_a_server_whose_signature_is_wrong_is_unproven_whatever_it_says_then(protocol: str) -> None:
    go_on = "S: 334 " if protocol == "smtp" else "S: + "
    script = (
        *offer(protocol, "SCRAM-SHA-256"),
        f"C: AUTH SCRAM-SHA-256 {base64.b64encode(b'n,,n=bob,r=abc').decode()}",
        go_on + base64.b64encode(b"r=abcdef,s=c2FsdA==,i=4096").decode(),
        "C: ...",
        go_on + base64.b64encode(b"v=wrong").decode(),
        "C: *",
        refusal(protocol),
    )
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(ServerUnproven, match="the server's signature is wrong") as caught:
            await login(peer, protocol, lambda: sasl.Scram(PASSWORD, "SHA-256", make_nonce=lambda: "abc"))
    assert caught.value.answer is not None


class Broken(sasl.Scram):
    """Raises what no mechanism may, in a step or in the work that it has others do."""

    def __init__(self, where: str) -> None:
        super().__init__(PASSWORD, "SHA-256", make_nonce=self.fail if where == "nonce" else lambda: "abc")
        self._where = where

    def respond(self, challenge: bytes) -> bytes | Work:
        return Work(self.fail) if self._where == "work" else self.fail().encode()

    def fail(self) -> Any:
        raise RuntimeError("broken")


@pytest.mark.parametrize("where", ["nonce", "step", "work"])
async def test_what_a_mechanism_raises_by_mistake_comes_to_who_logs_in(protocol: str, where: str) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with tls_server("SCRAM-SHA-256") as server:
        client = client_for(endpoint_of(server, protocol, auth=lambda: Broken(where)))
        with pytest.raises(RuntimeError, match=r"^broken$"):
            await client.connect()
        assert not client.is_connected
        await server.wait_idle()
    await drain_events()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert complaints == []


# In the middle


class Middle:
    """Stands before a server with a certificate that the client takes, passes on what both say, and answers in the
    server's place that it does not have the -PLUS forms."""

    def __init__(self, server: MailServer, protocol: str) -> None:
        self.refused: list[bytes] = []
        self.passed_on = b""
        self._port = server.smtp_port if protocol == "smtp" else server.pop3_port
        self._no = b"504 5.5.4 unknown\r\n" if protocol == "smtp" else b"-ERR\r\n"
        self._is_smtp = protocol == "smtp"

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("localhost", self._port, ssl=client_context())
        # With Exchange's greeting before it, a login to POP3 begins with nothing but the mechanism's name.
        greeting = await from_server.readline()
        writer.write(greeting if self._is_smtp else b"+OK The Microsoft Exchange POP3 service is ready.\r\n")
        back = asyncio.create_task(self._pass_back(from_server, writer))
        while line := await reader.readline():
            if b"-PLUS" in line:
                self.refused.append(line.split()[1])
                writer.write(self._no)
            else:
                to_server.write(line)
                if self.refused:
                    self.passed_on += line
        to_server.close()
        await back
        writer.close()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)


async def test_nobody_in_the_middle_passes_a_login_on_by_refusing_what_would_bind_it(protocol: str) -> None:
    async with tls_server("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256") as server:
        middle = Middle(server, protocol)
        async with await asyncio.start_server(middle.pass_on, "127.0.0.1", ssl=server_context()) as listening:
            port = listening.sockets[0].getsockname()[1]
            client = client_for(endpoint_of(server, protocol, auth=PASSWORD).replace(port=port))
            with pytest.raises(AuthenticationFailed, match=r"AUTH SCRAM-SHA-256[ :]") as caught:
                await client.connect()
            assert not client.is_connected
        await server.wait_idle()
    assert middle.refused == [b"SCRAM-SHA-256-PLUS"]
    name, message = middle.passed_on.split()[1:3]
    assert name == b"SCRAM-SHA-256"
    assert base64.b64decode(message).startswith(b"y,,n=bob,r=")
    assert caught.value.__notes__ == [
        "before that, SCRAM-SHA-256-PLUS was refused as unknown, though it is offered: somebody may be answering "
        "in the server's place; if it is the server, Preferences.mechanisms without -PLUS may do"
    ]


async def test_a_refusal_behind_no_bound_mechanism_casts_no_suspicion(protocol: str) -> None:
    async with tls_server("SCRAM-SHA-256-PLUS", "PLAIN") as server:
        client = client_for(endpoint_of(server, protocol, auth=Password("bob", "wrong")))
        with pytest.raises(AuthenticationFailed, match=r"AUTH SCRAM-SHA-256-PLUS[ :]") as caught:
            await client.connect()
    assert not hasattr(caught.value, "__notes__")
    script = (f"C: AUTH PLAIN {PLAIN}", "S: 504 no", "C: AUTH LOGIN", "S: 535 no")
    async with ScriptedPeer(*offer("smtp", "PLAIN", "LOGIN"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match="AUTH LOGIN: 535") as caught:
            await login(peer, "smtp")
    assert not hasattr(caught.value, "__notes__")

    async def refuse(name: str, _mechanism: Mechanism | None) -> None:
        raise AuthenticationFailed(f"{name}: no", command=name)

    # What SASLprep refuses, was never said to the server.
    bindings: dict[BindingType, ChannelBinding] = {"tls-exporter": ChannelBinding("tls-exporter", b"key")}
    situation = Situation(("SCRAM-SHA-256-PLUS", "PLAIN"), True, bindings)
    with pytest.raises(AuthenticationFailed, match=r"^PLAIN: no$") as caught:
        await authenticate(SERVER.replace(auth=Password("bob", "tab\there")), situation, refuse)
    assert not hasattr(caught.value, "__notes__")


# Long computations


async def test_keys_that_take_long_to_derive_do_not_hold_up_the_loop(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    derive = Keys.derive

    def watched(*arguments: Any) -> Keys:
        threads.append(threading.get_ident())
        return derive(*arguments)

    monkeypatch.setattr(Keys, "derive", watched)
    cache = sasl.KeyCache()
    async with tls_server("SCRAM-SHA-256", scram_iterations=50_001) as server:
        preferences = Preferences(key_cache=cache)
        endpoint = endpoint_of(server, protocol, auth=PASSWORD, auth_preferences=preferences)
        for _ in range(2):
            async with client_for(endpoint) as client:
                assert client.mechanism == "SCRAM-SHA-256"
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    assert len(cache) == 1


@pytest.mark.parametrize("iterations", [4095, 4096, 4097])
async def test_the_caller_bounds_what_a_server_may_ask_for(protocol: str, iterations: int) -> None:
    preferences = Preferences(minimum_iterations=4096, maximum_iterations=4096)
    async with tls_server("SCRAM-SHA-1", scram_iterations=iterations) as server:
        client = client_for(endpoint_of(server, protocol, auth=PASSWORD, auth_preferences=preferences))
        if iterations == 4096:
            await client.connect()
            await client.quit()
        else:
            with pytest.raises(AuthenticationFailed, match=f"the server asks for (b')?{iterations}'? iterations"):
                await client.connect()


# Access tokens


def provider(*tokens: str) -> tuple[sasl.TokenProvider, list[sasl.OAuthFailure | None]]:
    asked: list[sasl.OAuthFailure | None] = []

    async def provide(refused: sasl.OAuthFailure | None) -> str:
        asked.append(refused)
        await asyncio.sleep(0)
        return tokens[min(len(asked), len(tokens)) - 1]

    return provide, asked


@pytest.mark.parametrize("name", ["OAUTHBEARER", "XOAUTH2"])
async def test_a_token_that_has_expired_is_renewed_once(protocol: str, name: str) -> None:
    provide, asked = provider("expired", TOKEN)
    async with tls_server(name) as server:
        client = client_for(endpoint_of(server, protocol, auth=OAuthToken("bob", provide)))
        await client.connect()
        assert client.mechanism == name
        await client.quit()
    assert asked[0] is None
    assert asked[1] is not None
    assert asked[1].status
    assert len(asked) == 2


@pytest.mark.parametrize("tokens", [("expired", "expired-too"), ("expired",)], ids=["another", "the same"])
async def test_a_token_that_stays_refused_is_the_end(protocol: str, tokens: tuple[str, ...]) -> None:
    provide, asked = provider(*tokens)
    async with tls_server("OAUTHBEARER") as server:
        with pytest.raises(AuthenticationFailed) as caught:
            await client_for(endpoint_of(server, protocol, auth=OAuthToken("bob", provide))).connect()
    assert caught.value.oauth is not None
    assert caught.value.oauth.status == "invalid_token"
    assert caught.value.oauth.scope == "mail"
    assert len(asked) == 2


@pytest.mark.parametrize("name", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize(
    "ending",
    [(FIN,), ("S: 421 enough", FIN), ("C: AUTH ...", FIN), ("C: AUTH ...", "S: 421 enough", FIN)],
    ids=["before", "421 before", "at", "421 at"],
)
async def test_a_refusal_of_a_token_is_told_where_the_server_hangs_up_on_the_next_one(
    name: str, ending: tuple[Step, ...]
) -> None:
    provide, asked = provider("expired", TOKEN)
    failure = base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}').decode()
    refused = ("C: AUTH ...", f"S: 334 {failure}", "C: ...", "S: 535 5.7.8 too old")
    async with ScriptedPeer(*offer("smtp", name), *refused, *ending, lenient=True) as peer:
        with pytest.raises(AuthenticationFailed, match=rf"^AUTH {name} \*\*\*\*: 535 5\.7\.8 too old$") as caught:
            await login(peer, "smtp", OAuthToken("bob", provide))
    assert caught.value.oauth == asked[1]
    assert caught.value.oauth is not None
    assert caught.value.oauth.status == "401"
    cause = caught.value.__cause__
    assert cause is not None
    assert isinstance(cause, ConnectionLost) or isinstance(cause.__cause__, ConnectionLost)
    assert not caught.value.is_transient
    assert len(asked) == 2


async def test_what_the_server_says_to_the_other_token_is_told_where_it_stays() -> None:
    provide, _ = provider("expired", TOKEN)
    script = ("C: AUTH ...", "S: 535 5.7.8 too old", "C: AUTH ...", "S: 454 4.7.0 later")
    async with ScriptedPeer(*offer("smtp", "XOAUTH2"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match=r"454 4\.7\.0 later") as caught:
            await login(peer, "smtp", OAuthToken("bob", provide))
    assert caught.value.is_transient


async def test_in_pop3_a_refusal_of_a_token_is_told_where_the_server_hangs_up_on_the_next_one() -> None:
    provide, _ = provider("expired", TOKEN)
    script = ("C: AUTH ...", "S: + ", "C: ...", "S: -ERR [AUTH] too old", "C: AUTH ...", FIN)
    async with ScriptedPeer(*offer("pop3", "XOAUTH2"), *script) as peer:
        with pytest.raises(AuthenticationFailed, match="too old") as caught:
            await login(peer, "pop3", OAuthToken("bob", provide))
    assert isinstance(caught.value.__cause__, ConnectionLost)


async def test_a_connection_that_is_lost_before_any_refusal_of_a_token_is_just_lost(protocol: str) -> None:
    provide, asked = provider("expired", TOKEN)
    async with ScriptedPeer(*offer(protocol, "OAUTHBEARER"), "C: AUTH ...", FIN) as peer:
        with pytest.raises(ConnectionLost):
            await login(peer, protocol, OAuthToken("bob", provide))
    assert asked == [None]


async def test_who_broke_the_exchange_is_given_no_other_token(protocol: str) -> None:
    go_on, success = ("S: 334 ", "S: 235 ok") if protocol == "smtp" else ("S: + ", "S: +OK")
    for end in ((f"{go_on}e30=", "C: *", refusal(protocol)), (success,)):
        provide, asked = provider("expired", TOKEN)
        begun = ("C: AUTH OAUTHBEARER ...", f"{go_on}e30=", "C: AQ==")
        async with ScriptedPeer(*offer(protocol, "OAUTHBEARER"), *begun, *end) as peer:
            with pytest.raises(AuthenticationFailed):
                await login(peer, protocol, OAuthToken("bob", provide))
        assert asked == [None]


async def test_clients_that_log_in_at_the_same_time_share_a_token() -> None:
    asked: list[sasl.OAuthFailure | None] = []
    may_answer = asyncio.Event()

    async def provide(refused: sasl.OAuthFailure | None) -> str:
        asked.append(refused)
        await may_answer.wait()
        return TOKEN

    async with tls_server("OAUTHBEARER") as server:
        clients = [SMTPClient(endpoint_of(server, "smtp", auth=OAuthToken("bob", provide))) for _ in range(4)]
        connecting = [asyncio.create_task(client.connect()) for client in clients]
        while not all(client.extensions for client in clients):
            await drain_events()  # until all of them know how to log in
        may_answer.set()
        await asyncio.gather(*connecting)
        for client in clients:
            await client.quit()
    assert asked == [None]


async def test_a_transient_refusal_asks_for_no_other_token() -> None:
    provide, asked = provider(TOKEN)
    async with ScriptedPeer(*offer("smtp", "XOAUTH2"), "C: AUTH XOAUTH2 ...", "S: 454 4.7.0 later") as peer:
        with pytest.raises(AuthenticationFailed) as caught:
            await login(peer, "smtp", OAuthToken("bob", provide))
    assert caught.value.is_transient
    assert len(asked) == 1


async def test_xoauth2_takes_two_steps_in_pop3_and_one_in_smtp() -> None:
    message = base64.b64encode(f"user=bob\x01auth=Bearer {TOKEN}\x01\x01".encode()).decode()
    async with ScriptedPeer(
        *(*offer("pop3", "XOAUTH2"), "C: AUTH XOAUTH2", "S: + ", f"C: {message}", "S: +OK", *announced()),
        *("C: QUIT", "S: +OK"),
    ) as peer:
        await (await login(peer, "pop3", BEARER)).quit()
    async with ScriptedPeer(
        *offer("smtp", "XOAUTH2"), f"C: AUTH XOAUTH2 {message}", "S: 235 ok", "C: QUIT", "S: 221 bye"
    ) as peer:
        await (await login(peer, "smtp", BEARER)).quit()


async def test_a_token_provider_that_fails_is_told_as_it_fails(protocol: str) -> None:
    async def provide(refused: sasl.OAuthFailure | None) -> str:
        raise LookupError("no token in this cupboard")

    async with ScriptedPeer(*offer(protocol, "XOAUTH2"), LISTEN) as peer:
        with pytest.raises(LookupError, match="cupboard"):
            await login(peer, protocol, OAuthToken("bob", provide))
    assert b"AUTH" not in peer.wire


@pytest.mark.parametrize(("host", "told"), [("localhost", "localhost"), ("mx.", "mx"), ("fe80::1%eth0", "fe80::1")])
async def test_a_token_goes_with_the_host_and_the_port_that_were_asked_for(protocol: str, host: str, told: str) -> None:
    port = {"smtp": 25, "pop3": 110}[protocol]
    message = f"n,a=bob,\x01host={told}\x01port={port}\x01auth=Bearer {TOKEN}\x01\x01"
    command = f"C: AUTH OAUTHBEARER {base64.b64encode(message.encode()).decode()}"
    async with ScriptedPeer(*offer(protocol, "OAUTHBEARER"), command, refusal(protocol)) as peer:
        endpoint = peer.endpoint(protocol=protocol, auth=BEARER, allow_cleartext_auth=True)
        client = client_for(endpoint.replace(host=host))
        with pytest.raises(AuthenticationFailed):
            await client.connect()


# The choice by itself


class Attempts:
    """Notes what is tried; the server refuses it as `refusal` says."""

    def __init__(self, refusal: type[MechanismUnavailable | TokenRefused] | None = None) -> None:
        self.tried: list[tuple[str, Mechanism | None]] = []
        self._refusal = refusal

    async def __call__(self, name: str, mechanism: Mechanism | None) -> None:
        self.tried.append((name, mechanism))
        if self._refusal is not None:
            raise self._refusal(AuthenticationFailed(f"{name}: no", command=name, answer=smtp.Reply(535, (b"no",))))


SERVER = Endpoint("mx.example.org", tls="none", auth=PASSWORD)
SAFE = "use implicit TLS or STARTTLS, or write allow_cleartext_auth=True if the link is safe all the same"


@pytest.mark.parametrize(("offered", "shown"), [((), "none"), (("X-ONE", "X-TWO"), "X-ONE, X-TWO")])
async def test_where_there_is_no_mechanism_it_is_told_what_there_is(offered: tuple[str, ...], shown: str) -> None:
    attempts, situation = Attempts(), Situation(offered, True, {})
    with pytest.raises(AuthenticationFailed) as caught:
        await authenticate(SERVER, situation, attempts)
    assert str(caught.value) == (
        f"smtp://mx.example.org:25 offers no mechanism for Password that may be used: it has {shown}"
    )
    assert caught.value.command == "AUTH"
    with pytest.raises(AuthenticationFailed) as caught:
        await authenticate(SERVER.replace(auth=Whisper), situation, attempts)
    assert str(caught.value) == f"smtp://mx.example.org:25 does not offer X-WHISPER: it has {shown}"
    assert caught.value.command == "AUTH X-WHISPER"
    remembering = SERVER.replace(auth_preferences=Preferences(remembered="SCRAM-SHA-256"))
    with pytest.raises(SecurityError) as unsafe:
        await authenticate(remembering, situation, attempts)
    assert str(unsafe.value) == (
        f"smtp://mx.example.org:25 offers nothing as good as SCRAM-SHA-256 any more, it has {shown}: "
        "somebody may be answering in its place"
    )
    assert attempts.tried == []


async def test_what_would_give_the_credentials_away_is_told_with_what_to_do() -> None:
    attempts, situation = Attempts(), Situation(("PLAIN",), False, {})
    with pytest.raises(SecurityError) as caught:
        await authenticate(SERVER, situation, attempts)
    assert str(caught.value) == (
        f"smtp://mx.example.org:25 offers only mechanisms that would give the credentials away in the clear: {SAFE}"
    )
    with pytest.raises(SecurityError) as caught:
        await authenticate(SERVER.replace(auth=lambda: sasl.Plain(PASSWORD)), situation, attempts)
    assert str(caught.value) == f"PLAIN would give the credentials away in the clear: {SAFE}"
    assert attempts.tried == []


async def test_a_mechanism_of_ones_own_is_tried_by_its_name() -> None:
    attempts, own = Attempts(), Whisper()
    assert (
        await authenticate(SERVER.replace(auth=lambda: own), Situation(("X-WHISPER",), False, {}), attempts)
        == "X-WHISPER"
    )
    assert attempts.tried == [("X-WHISPER", own)]


async def test_a_mechanism_of_ones_own_is_one_that_the_caller_allows() -> None:
    attempts, situation = Attempts(), Situation(("X-WHISPER", "PLAIN"), True, {})
    for allowed, shown in ((["PLAIN"], "PLAIN"), ([], "none")):
        endpoint = SERVER.replace(auth=Whisper, auth_preferences=Preferences(mechanisms=allowed))
        with pytest.raises(AuthenticationFailed) as caught:
            await authenticate(endpoint, situation, attempts)
        assert str(caught.value) == f"X-WHISPER may not be used: Preferences.mechanisms allows {shown}"
        assert caught.value.command == "AUTH X-WHISPER"
    assert attempts.tried == []
    allowing = SERVER.replace(auth=Whisper, auth_preferences=Preferences(mechanisms=["PLAIN", "x-whisper"]))
    assert await authenticate(allowing, situation, attempts) == "X-WHISPER"


async def test_a_mechanism_of_ones_own_is_as_good_as_the_remembered_one() -> None:
    attempts, situation = Attempts(), Situation(("X-WHISPER", "PLAIN", "SCRAM-SHA-1"), True, {})
    makers: list[tuple[Callable[[], Mechanism], str]] = [
        (Whisper, "X-WHISPER"),
        (lambda: sasl.Plain(PASSWORD), "PLAIN"),
    ]
    for make, name in makers:
        endpoint = SERVER.replace(auth=make, auth_preferences=Preferences(remembered="SCRAM-SHA-1"))
        with pytest.raises(SecurityError) as caught:
            await authenticate(endpoint, situation, attempts)
        assert str(caught.value) == f"{name} is not as good as SCRAM-SHA-1, which Preferences.remembered asks for"
    assert attempts.tried == []
    for make, name in makers:
        remembering = SERVER.replace(auth=make, auth_preferences=Preferences(remembered=name.lower()))
        assert await authenticate(remembering, situation, attempts) == name


async def test_a_mechanism_of_ones_own_is_ranked_among_all_that_the_protocol_has() -> None:
    preferences = Preferences(remembered="APOP")
    situation = Situation(("PLAIN",), True, {})
    endpoint = SERVER.replace(auth=lambda: sasl.Plain(PASSWORD), auth_preferences=preferences)
    with pytest.raises(SecurityError):
        await authenticate(endpoint, situation, Attempts())
    options = (*sasl.MECHANISMS, sasl.Option("APOP", Password, exposes_password=True))
    assert await authenticate(endpoint, situation, Attempts(), options) == "PLAIN"


class Duck:
    """Has the two methods of a mechanism and a name, and is none."""

    name = "PLAIN"

    def initial_response(self) -> bytes:
        return CANARY.encode()

    def respond(self, challenge: bytes) -> bytes:
        return challenge

    def __repr__(self) -> str:
        return CANARY


@pytest.mark.parametrize("made", [None, CANARY, PASSWORD, Duck(), Whisper])
async def test_what_makes_no_mechanism_is_told_before_anything_is_said(protocol: str, made: Any) -> None:
    async with ScriptedPeer(*offer(protocol, "PLAIN"), LISTEN) as peer:
        with pytest.raises(ValueError, match=r"^expected the function that is auth to return a Mechanism, ") as caught:
            await login(peer, protocol, lambda: made)
    got = "the class Whisper" if made is Whisper else f"a value of the type {type(made).__name__}"
    assert str(caught.value).endswith(f" of a class derived from sasl.Mechanism, got {got}")
    assert_hidden(CANARY, caught.value)
    assert b"AUTH" not in peer.wire


async def test_where_the_caller_allows_none_that_is_offered_it_is_told_what_is_allowed() -> None:
    for allowed, shown in ((["APOP", "SCRAM-SHA-1"], "APOP, SCRAM-SHA-1"), ([], "none")):
        endpoint = SERVER.replace(auth_preferences=Preferences(mechanisms=allowed))
        with pytest.raises(AuthenticationFailed) as caught:
            await authenticate(endpoint, Situation(("PLAIN", "LOGIN"), True, {}), Attempts())
        assert str(caught.value) == (
            "smtp://mx.example.org:25 offers no mechanism for Password that may be used: it has PLAIN, LOGIN, and "
            f"Preferences.mechanisms allows {shown}"
        )


async def test_a_token_that_was_refused_is_not_presented_again() -> None:
    attempts = Attempts(TokenRefused)
    provide, asked = provider("expired")
    with pytest.raises(AuthenticationFailed, match=r"^XOAUTH2: no$"):
        await authenticate(SERVER.replace(auth=OAuthToken("bob", provide)), Situation(("XOAUTH2",), True, {}), attempts)
    assert len(asked) == 2
    assert len(attempts.tried) == 1


async def test_a_token_is_asked_for_once_however_many_mechanisms_are_tried() -> None:
    offered = Situation(("OAUTHBEARER", "XOAUTH2"), True, {}, "mx.example.org", 25)
    for token, tried in (("token", ["OAUTHBEARER", "XOAUTH2"]), ("token\n", [])):
        attempts = Attempts(MechanismUnavailable)
        provide, asked = provider(token, "another")
        with pytest.raises(AuthenticationFailed):
            await authenticate(SERVER.replace(auth=OAuthToken("bob", provide)), offered, attempts)
        assert asked == [None]
        assert [name for name, _ in attempts.tried] == tried


async def test_a_token_is_asked_for_once_more_in_a_login_however_many_mechanisms_are_tried() -> None:
    provide, asked = provider("first", "second", "third")
    answers = iter([TokenRefused, MechanismUnavailable, TokenRefused])
    attempts: list[str] = []

    async def attempt(name: str, _mechanism: Mechanism | None) -> None:
        attempts.append(name)
        raise next(answers)(AuthenticationFailed(f"{name}: no", command=name))

    offered = Situation(("OAUTHBEARER", "XOAUTH2"), True, {}, "mx.example.org", 25)
    with pytest.raises(AuthenticationFailed, match=r"^XOAUTH2: no$"):
        await authenticate(SERVER.replace(auth=OAuthToken("bob", provide)), offered, attempt)
    assert attempts == ["OAUTHBEARER", "OAUTHBEARER", "XOAUTH2"]
    assert asked == [None, sasl.OAuthFailure()]


async def test_a_provider_of_tokens_has_as_long_as_the_endpoint_says() -> None:
    async def provide(_refused: sasl.OAuthFailure | None) -> str:
        await asyncio.Event().wait()
        return TOKEN

    endpoint = SERVER.replace(timeouts=Timeouts(token=0.01))
    with pytest.raises(DeadlineExceeded, match="no access token came"):
        async with asyncio.timeout(2):
            await authenticate(
                endpoint.replace(auth=OAuthToken("bob", provide)), Situation(("XOAUTH2",), True, {}), Attempts()
            )


@pytest.mark.parametrize("kind", [TokenRefused, MechanismUnavailable])
def test_what_leads_to_another_attempt_says_what_the_error_says(
    kind: type[TokenRefused | MechanismUnavailable],
) -> None:
    error = AuthenticationFailed("AUTH PLAIN: 504 no", command="AUTH PLAIN")
    assert str(kind(error)) == "AUTH PLAIN: 504 no"
    assert kind(error).error is error


# Refusals by hand


async def test_other_commands_are_refused_as_before() -> None:
    async with tls_server("PLAIN") as server:
        async with SMTPClient(endpoint_of(server, "smtp")) as sender:
            with pytest.raises(ReplyError):
                await sender.execute(smtp.Expn("list"))
        async with POP3Client(endpoint_of(server, "pop3", auth=PASSWORD)) as reader:
            with pytest.raises(ResponseError):
                await reader.execute(pop3.Dele(7))
