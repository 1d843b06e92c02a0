import base64
import socket

import pytest

from mailwire import (
    AuthenticationFailed,
    ConnectionLost,
    Endpoint,
    InjectedData,
    LocalProtocolError,
    MaildropLocked,
    POP3Client,
    POP3Settings,
    ResponseError,
    SecurityError,
    Timeouts,
    TLSFailed,
)
from mailwire.pop3 import Response, Stat
from mailwire.testing import (
    FIN,
    STALL,
    WITHHOLD,
    ScriptedPeer,
    Step,
    Tls,
)
from tests.aio.dialogues import (
    CANARY,
    CREDENTIALS,
    LISTED,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_QUIT,
    POP3_READY,
    announced,
    capabilities,
)
from tests.aio.pop3_clients import client_for, connect

PLAIN = base64.b64encode(f"\0{CREDENTIALS.user}\0{CREDENTIALS.password}".encode()).decode()
STLS: tuple[Step, ...] = (*capabilities("STLS"), "C: STLS", "S: +OK go")


# Connecting


async def test_a_server_without_capa_is_logged_in_to_with_user_and_pass() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer:
        client = await connect(peer)
        assert client.capabilities == {}
        await client.quit()


async def test_what_the_server_can_do_can_be_read() -> None:
    keywords = "TOP", "user", "sasl X-OWN", "LOGIN-DELAY 900"
    async with ScriptedPeer(*capabilities(*keywords), *LOGIN, *announced(*keywords), *POP3_QUIT) as peer:
        client = client_for(peer)
        assert client.capabilities == {}
        await client.connect()
        assert "TOP" in client.capabilities
        assert client.capabilities.mechanisms == ("X-OWN",)
        assert client.capabilities.number("LOGIN-DELAY") == 900
        await client.quit()


async def test_sasl_is_preferred_where_it_is_offered() -> None:
    async with ScriptedPeer(
        *(*capabilities("SASL PLAIN", "USER"), f"C: AUTH PLAIN {PLAIN}", "S: +OK", *announced("USER"), *POP3_QUIT)
    ) as peer:
        client = await connect(peer)
        await client.quit()


async def test_a_server_that_hangs_up_on_capa_is_told_of() -> None:
    async with ScriptedPeer(*POP3_READY[:2], FIN) as peer:
        with pytest.raises(ConnectionLost, match="instead of answering CAPA") as caught:
            await connect(peer)
    note = "some servers do not stand to be asked for capabilities: POP3Settings.asks_capabilities"
    assert note in caught.value.__notes__
    async with ScriptedPeer(POP3_READY[0], *LOGIN, *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(asks_capabilities=False))
        await client.quit()


EXCHANGE = "S: +OK The Microsoft Exchange POP3 service is ready. [TABPADIAUAAxADIAMwBDAEEAMAAwADEA]"


@pytest.mark.parametrize(
    ("greeting", "initial_response", "in_one_line"),
    [
        ("S: +OK ready", None, True),
        ("S: +OK ready", True, True),
        ("S: +OK ready", False, False),
        (EXCHANGE, None, False),
        (EXCHANGE, True, True),
        (EXCHANGE, False, False),
    ],
)
async def test_an_initial_response_goes_along_unless_the_server_wants_to_ask_for_it(
    greeting: str, initial_response: bool | None, in_one_line: bool
) -> None:
    said: tuple[Step, ...] = (f"C: AUTH PLAIN {PLAIN}",) if in_one_line else ("C: AUTH PLAIN", "S: +", f"C: {PLAIN}")
    announcing = capabilities("SASL PLAIN", "USER")
    assert str(announcing[0]).startswith("S: +OK")
    async with ScriptedPeer(greeting, *announcing[1:], *said, "S: +OK", *announced("USER"), *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(initial_response=initial_response))
        assert client.mechanism == "PLAIN"
        await client.quit()


async def test_exchange_is_known_by_its_greeting_also_where_tls_begins_later() -> None:
    # The greeting is forgotten with all that was said in the clear; that it costs nothing to be told a lie is not.
    announcing = capabilities("STLS")
    async with ScriptedPeer(
        *(EXCHANGE, *announcing[1:], "C: STLS", "S: +OK go", Tls(), *announced("SASL PLAIN")),
        *("C: AUTH PLAIN", "S: +", f"C: {PLAIN}", "S: +OK", *announced(), *POP3_QUIT),
    ) as peer:
        client = await connect(peer, tls="starttls")
        await client.quit()


async def test_sasl_goes_by_challenges_too() -> None:
    user, password = (base64.b64encode(text.encode()).decode() for text in (CREDENTIALS.user, CREDENTIALS.password))
    async with ScriptedPeer(
        *capabilities("SASL LOGIN"),
        *("C: AUTH LOGIN", "S: + VXNlcm5hbWU6", f"C: {user}", "S: + ", f"C: {password}", "S: +OK"),
        *(*announced("USER"), *POP3_QUIT),
    ) as peer:
        client = await connect(peer)
        await client.quit()


async def test_user_and_pass_go_together_where_the_server_pipelines() -> None:
    async with ScriptedPeer(*PIPELINED, *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.quit()


async def test_what_the_server_tells_only_after_the_login_is_heard() -> None:
    async with ScriptedPeer(*capabilities("USER"), *LOGIN, *announced("USER", "TOP"), *POP3_QUIT) as peer:
        client = await connect(peer)
        assert "TOP" in client.capabilities
        await client.quit()


async def test_a_server_that_does_not_stand_capa_can_be_spared_it() -> None:
    async with ScriptedPeer("S: +OK", *LOGIN, *LISTED, *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(asks_capabilities=False))
        assert client.capabilities == {}
        assert [entry.uid for entry in await client.listing()] == ["u1", "u2"]
        await client.quit()


async def test_an_anonymous_client_does_not_log_in_and_has_no_maildrop() -> None:
    async with ScriptedPeer(*POP3_READY, *POP3_QUIT) as peer, client_for(peer, auth=None) as client:
        with pytest.raises(LocalProtocolError, match="STAT cannot be sent now"):
            await client.execute(Stat())


@pytest.mark.parametrize("greeting", ["-ERR POP3 server ready", "-ERR [IN-USE] locked"])
async def test_a_greeting_that_refuses_us_is_believed(greeting: str) -> None:
    async with ScriptedPeer(f"S: {greeting}", STALL) as peer:
        with pytest.raises(ResponseError, match=r"\(the connection\) was refused: -ERR") as caught:
            await connect(peer)
    assert caught.value.response == Response(False, greeting[5:].encode())
    assert peer.wire == b""


@pytest.mark.parametrize(
    ("script", "text", "command"),
    [
        (("C: USER bob", "S: -ERR nobody"), "USER bob: -ERR nobody", "USER bob"),
        ((*LOGIN[:3], "S: -ERR [AUTH] wrong"), r"PASS \*\*\*\*: -ERR \[AUTH\] wrong", r"PASS ****"),
    ],
    ids=["USER", "PASS"],
)
async def test_a_refused_login_is_told_and_not_tried_again(script: tuple[Step, ...], text: str, command: str) -> None:
    async with ScriptedPeer(*POP3_READY, *script, STALL) as peer:
        with pytest.raises(AuthenticationFailed, match=text) as caught:
            await connect(peer)
    assert caught.value.command == command
    assert isinstance(caught.value.answer, Response)


@pytest.mark.parametrize("code", ["IN-USE", "LOGIN-DELAY", "sys/temp", "SYS/PERM"])
async def test_a_login_refused_for_another_reason_says_nothing_of_the_credentials(code: str) -> None:
    async with ScriptedPeer(*POP3_READY, *LOGIN[:3], f"S: -ERR [{code}] later", STALL) as peer:
        with pytest.raises(ResponseError, match="later") as caught:
            await connect(peer)
    assert caught.value.response.code == code.upper()
    assert caught.value.command == "PASS ****"
    assert caught.value.is_transient is (code != "SYS/PERM")
    assert isinstance(caught.value, MaildropLocked) is (code == "IN-USE")


async def test_a_refused_user_behind_which_pass_has_left_ends_the_connection() -> None:
    async with ScriptedPeer(*PIPELINED[: PIPELINED.index(f"C: PASS {CANARY}") + 1], "S: -ERR nobody", STALL) as peer:
        client = client_for(peer)
        with pytest.raises(AuthenticationFailed, match="USER bob: -ERR nobody"):
            await client.connect()
        assert not client.is_connected


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (("S: -ERR no",), r"^AUTH PLAIN \*\*\*\*: -ERR no$"),
        (("S: + !!!!", "C: *", "S: -ERR cancelled"), "expected a challenge in base64, got b'!!!!'; -ERR cancelled"),
        (("S: + !!!!", "C: *", "S: +OK"), "expected a challenge in base64"),
        (("S: + !!!!", "C: *", "S: + more"), "the server goes on after the cancel"),
    ],
    ids=["-ERR", "bad base64", "success behind the cancel", "challenge behind the cancel"],
)
async def test_a_sasl_login_that_fails_is_told(script: tuple[Step, ...], text: str) -> None:
    async with ScriptedPeer(*capabilities("SASL PLAIN"), f"C: AUTH PLAIN {PLAIN}", *script, STALL) as peer:
        with pytest.raises(AuthenticationFailed, match=text):
            await connect(peer)


async def test_a_client_cannot_be_used_by_the_hook_that_connects_it() -> None:
    async def hook() -> socket.socket:
        await client.listing()
        raise AssertionError("this is never reached")

    client = POP3Client(Endpoint("localhost", protocol="pop3", tls="none", connect=hook))
    with pytest.raises(LocalProtocolError, match="another call of this same task uses the connection"):
        await client.connect()


# TLS


async def test_mail_is_listed_under_implicit_tls() -> None:
    async with (
        ScriptedPeer(Tls(), *OPENED, *LISTED, *POP3_QUIT) as peer,
        client_for(peer, tls="implicit", allow_cleartext_auth=False) as client,
    ):
        assert len(await client.listing()) == 2
    assert b"USER" not in peer.wire


async def test_mail_is_listed_under_stls() -> None:
    async with (
        ScriptedPeer(*STLS, Tls(), "C: CAPA", "S: -ERR what", *LOGIN, *LISTED, *POP3_QUIT) as peer,
        client_for(peer, tls="starttls", allow_cleartext_auth=False) as client,
    ):
        assert len(await client.listing()) == 2
    assert b"USER" not in peer.wire


async def test_a_server_without_capa_may_know_stls() -> None:
    async with ScriptedPeer(
        *POP3_READY, "C: STLS", "S: +OK", Tls(), "C: CAPA", "S: -ERR what", *LOGIN, *POP3_QUIT
    ) as peer:
        client = await connect(peer, tls="starttls")
        await client.quit()


async def test_what_was_announced_in_the_clear_is_forgotten_under_tls() -> None:
    async with ScriptedPeer(
        *capabilities("STLS", "SASL PLAIN", "PIPELINING"),
        "C: STLS",
        "S: +OK",
        Tls(),
        *announced(),
        *LOGIN,
        *announced(),
        *POP3_QUIT,
    ) as peer:
        client = await connect(peer, tls="starttls")
        assert client.capabilities == {}
        await client.quit()


async def test_a_server_without_stls_is_left_in_peace() -> None:
    async with ScriptedPeer(*capabilities("SASL PLAIN"), STALL) as peer:
        with pytest.raises(SecurityError, match="does not offer STLS, and TLS is required"):
            await connect(peer, tls="starttls")


@pytest.mark.parametrize("hello", [POP3_READY, capabilities("STLS")], ids=["no CAPA", "CAPA"])
async def test_a_server_that_refuses_stls_hears_no_password(hello: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*hello, "C: STLS", "S: -ERR no", STALL) as peer:
        with pytest.raises(TLSFailed, match="refuses STLS, and TLS is required: -ERR no") as caught:
            await connect(peer, tls="starttls")
    assert str(caught.value.answer) == "-ERR no"


@pytest.mark.parametrize("injected", [b"+OK\r\nPLAIN\r\n.\r\n", b"+", b"\n"])
async def test_octets_behind_the_go_ahead_are_an_attack(injected: bytes) -> None:
    async with ScriptedPeer(*STLS, injected, STALL) as peer:
        with pytest.raises(InjectedData, match="go-ahead to STLS"):
            await connect(peer, tls="starttls")
    assert b"\x16\x03" not in peer.wire


@pytest.mark.parametrize("certificate", ["other-host", "expired", "self-signed"])
async def test_nothing_is_said_to_a_server_that_cannot_prove_its_name(certificate: str) -> None:
    async with ScriptedPeer(*STLS, Tls(certificate)) as peer:
        with pytest.raises(TLSFailed, match="was not accepted"):
            await connect(peer, tls="starttls")
    assert peer.heard.endswith(b"STLS\r\n")


async def test_a_server_that_withholds_its_close_notify_is_closed_all_the_same() -> None:
    async with ScriptedPeer(Tls(), *OPENED, *POP3_QUIT, WITHHOLD) as peer:
        client = await connect(peer, tls="implicit", timeouts=Timeouts(close=0.01))
        await client.quit()
        assert not client.is_connected


# UTF8 and LANG


async def test_utf8_and_the_language_are_asked_for_before_the_login() -> None:
    keywords = "USER", "UTF8 USER", "LANG"
    script: tuple[Step, ...] = (
        *(*capabilities(*keywords), "C: LANG de", "S: +OK de Deutsch", "C: UTF8", "S: +OK"),
        *(*LOGIN, *announced(*keywords), *POP3_QUIT),
    )
    async with ScriptedPeer(*script) as peer:
        client = client_for(peer, settings=POP3Settings(utf8=True, language="de"))
        assert not client.is_utf8
        async with client:
            assert client.is_utf8


async def test_utf8_has_its_place_behind_stls() -> None:
    keywords = "USER", "UTF8"
    async with (
        ScriptedPeer(
            *(*STLS, Tls(), *announced(*keywords), "C: UTF8", "S: +OK", *LOGIN, *announced(*keywords), *POP3_QUIT)
        ) as peer,
        client_for(peer, tls="starttls", settings=POP3Settings(utf8=True)) as client,
    ):
        assert client.is_utf8


async def test_what_is_not_announced_or_refused_is_done_without() -> None:
    wanting = POP3Settings(utf8=True, language="de")
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer, settings=wanting) as client:
        assert not client.is_utf8
    refused: tuple[Step, ...] = ("C: LANG de", "S: -ERR no", "C: UTF8", "S: -ERR no")
    async with (
        ScriptedPeer(
            *(*capabilities("USER", "UTF8", "LANG"), *refused, *LOGIN, *announced("USER", "LANG"), *POP3_QUIT)
        ) as peer,
        client_for(peer, settings=wanting) as client,
    ):
        assert not client.is_utf8


async def test_a_language_that_is_announced_behind_the_login_only_is_asked_for_there() -> None:
    late: tuple[Step, ...] = (*announced("USER", "UTF8", "LANG"), "C: LANG *", "S: +OK *", *POP3_QUIT)
    async with (
        ScriptedPeer(*capabilities("USER"), *LOGIN, *late) as peer,
        client_for(peer, settings=POP3Settings(utf8=True, language="*")) as client,
    ):
        assert client.is_utf8 is False  # it has no place there
