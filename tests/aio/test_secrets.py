"""The password is in no error, no representation and no transcript, in whatever disguise."""

import base64
import copy
import json
import logging
import pickle
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import mailwire
from mailwire import (
    DeadlineExceeded,
    LMTPClient,
    MailwireError,
    POP3Client,
    SMTPClient,
    SMTPPool,
    Timeouts,
    Transcript,
)
from mailwire.maildrop import Account, probe, retrieve_into
from mailwire.smtp import Noop
from mailwire.testing import FIN, LISTEN, STALL, ScriptedPeer, Step, Tls
from tests.aio.dialogues import CANARY, CREDENTIALS, LOGIN, MESSAGE, POP3_READY, capabilities, extensions, once
from tests.aio.test_cuts import POP3, SMTP, Session, spoken
from tests.sasl import secrecy
from tests.sasl.secrecy import assert_hidden, is_ours_to_answer_for

USER, PASSWORD = (text.encode() for text in (CREDENTIALS.user, CANARY))
PLAIN = base64.b64encode(b"\0" + USER + b"\0" + PASSWORD).decode()

# Base64 shows a text in three ways, by the number of octets before it; what does not depend on them is in the middle.
DISGUISES = {
    CANARY,
    CANARY[:8],
    CANARY.encode().hex(),
    repr(CANARY.encode())[2:-1],
    json.dumps(CANARY)[1:-1],
    PLAIN,
    base64.b64encode(PASSWORD).decode().rstrip("="),
    *(base64.b64encode(b"x" * shift + PASSWORD)[4:-4].decode() for shift in range(3)),
}


def disguised_in(text: str) -> list[str]:
    return [disguise for disguise in DISGUISES if disguise in text]


def told_by(error: BaseException) -> Iterator[str]:
    """Everything that an error tells, and those before it, and what their frames of ours held."""
    seen: BaseException | None = error
    while seen is not None:
        yield from (repr(seen), str(seen), repr(seen.args), repr(vars(seen)), repr(getattr(seen, "__notes__", "")))
        seen = seen.__cause__ or seen.__context__
    yield "".join(traceback.format_exception(error))
    summary: traceback.TracebackException | None = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    while summary is not None:
        for frame in summary.stack:
            if is_ours_to_answer_for(frame.filename):
                yield f"{frame.filename}:{frame.lineno} {frame.locals}"
        summary = summary.__cause__ or summary.__context__


def check(error: BaseException, *others: object) -> None:
    for text in (*told_by(error), *map(repr, others), *map(str, others)):
        assert not disguised_in(text), text
    if isinstance(error, MailwireError):
        for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
            assert type(again) is type(error)
            assert str(again) == str(error)
            assert vars(again).keys() == vars(error).keys()
            assert not any(disguised_in(text) for text in told_by(again))
        assert not disguised_in(pickle.dumps(error, protocol=0).decode("latin-1"))


async def fails_with(script: tuple[Step, ...], protocol: str, **settings: Any) -> tuple[MailwireError, Transcript]:
    transcript = Transcript(limit=None)
    async with ScriptedPeer(*script, lenient=True) as peer:
        endpoint = peer.endpoint(protocol=protocol, auth=CREDENTIALS, allow_cleartext_auth=True, **settings)
        client = (SMTPClient if protocol == "smtp" else POP3Client)(endpoint, transcript=transcript)
        with pytest.raises(MailwireError) as caught:
            await client.connect()
        check(caught.value, client.endpoint, endpoint.auth, transcript.render(), transcript.tail(), client)
    return caught.value, transcript


SMTP_LOGINS: dict[str, tuple[Step, ...]] = {
    "PLAIN": (*extensions("AUTH PLAIN"), f"C: AUTH PLAIN {PLAIN}"),
    "first of LOGIN": (*extensions("AUTH LOGIN"), "C: AUTH LOGIN"),
    "user of LOGIN": (*extensions("AUTH LOGIN"), "C: AUTH LOGIN", "S: 334 ", "C: ..."),
    "password of LOGIN": (*extensions("AUTH LOGIN"), "C: AUTH LOGIN", "S: 334 ", "C: ...", "S: 334 ", "C: ..."),
}
POP3_LOGINS: dict[str, tuple[Step, ...]] = {
    "USER": (*POP3_READY, *LOGIN[:1]),
    "PASS": (*POP3_READY, *LOGIN[:3]),
    "both": (*capabilities("PIPELINING"), "C: USER ...", "C: PASS ..."),
    "PLAIN": (*capabilities("SASL PLAIN"), f"C: AUTH PLAIN {PLAIN}"),
    "password of LOGIN": (*capabilities("SASL LOGIN"), "C: AUTH LOGIN", "S: + ", "C: ...", "S: + ", "C: ..."),
}


@pytest.mark.parametrize(
    "end",
    [
        (FIN,),
        ("S: 535 no", STALL),
        ("S: 421 bye", FIN),
        (b"53", FIN),
        ("S: noise", LISTEN),
        (b"\xff\xfe\r\n", LISTEN),
        ("S: 334 !!!!", "C: *", "S: 501 no", STALL),
        ("S: 334 !!!!", "C: *", FIN),
        ("S: 354 what", FIN, LISTEN),
        ("S: 334 ", "C: ...", "S: 535 no", LISTEN),
    ],
    ids=["FIN", "535", "421", "half a reply", "noise", "octets", "bad base64", "FIN behind *", "354", "one more"],
)
@pytest.mark.parametrize("login", SMTP_LOGINS.values(), ids=SMTP_LOGINS)
async def test_an_smtp_login_that_fails_tells_no_password(
    login: tuple[Step, ...], end: tuple[Step, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await fails_with((*login, *end), "smtp")
    assert not disguised_in(caplog.text)


@pytest.mark.parametrize(
    "end",
    [
        (FIN,),
        ("S: -ERR no", STALL),
        ("S: -ERR no", "S: -ERR no", LISTEN),
        (b"-ER", FIN),
        ("S: noise", LISTEN),
        (b"\xff\xfe\r\n", LISTEN),
        ("S: + !!!!", FIN, LISTEN),
    ],
    ids=["FIN", "-ERR", "-ERR twice", "half an answer", "noise", "octets", "challenge"],
)
@pytest.mark.parametrize("login", POP3_LOGINS.values(), ids=POP3_LOGINS)
async def test_a_pop3_login_that_fails_tells_no_password(
    login: tuple[Step, ...], end: tuple[Step, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await fails_with((*login, *end), "pop3")
    assert not disguised_in(caplog.text)


@pytest.mark.parametrize(("protocol", "login"), [("smtp", SMTP_LOGINS["PLAIN"]), ("pop3", POP3_LOGINS["PASS"])])
async def test_a_login_that_is_not_answered_tells_no_password(protocol: str, login: tuple[Step, ...]) -> None:
    error, _ = await fails_with((*login, STALL), protocol, timeouts=Timeouts(command=0.05, response=0.05))
    assert isinstance(error, DeadlineExceeded)


async def test_a_password_that_would_cross_in_the_clear_is_not_told() -> None:
    async with ScriptedPeer(*extensions("AUTH PLAIN"), LISTEN) as peer:
        endpoint = peer.endpoint(auth=CREDENTIALS)
        with pytest.raises(MailwireError) as caught:
            await mailwire.send(MESSAGE, endpoint, sender="a@b.c", recipients="d@e.f")
        check(caught.value, endpoint)


@pytest.mark.parametrize("certificate", ["expired", "other-host"])
async def test_a_handshake_that_fails_tells_no_password(certificate: str) -> None:
    script = (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go", Tls(certificate))
    await fails_with(script, "smtp", tls="starttls")


async def enter(client: Any) -> None:
    async with client:
        pass


MAIL = b"From: a@example.org\nTo: b@example.org\n\nhi\n"

# What takes the URL of a server.
OPENERS: dict[str, Callable[[str], Awaitable[object]]] = {
    "send": lambda url: mailwire.send(MAIL, url),
    "SMTPClient": lambda url: enter(SMTPClient(url)),
    "LMTPClient": lambda url: enter(LMTPClient(url)),
    "SMTPPool": lambda url: SMTPPool(url).send(MAIL),
    "retrieve": lambda url: mailwire.retrieve(url),
    "retrieve within limits": lambda url: mailwire.retrieve(url, max_octets=-1),
    "retrieve into": lambda url: mailwire.retrieve(url, into=print),
    "retrieve with a ledger": lambda url: mailwire.retrieve(url, ledger="ledger.db"),  # type: ignore[call-overload]
    "retrieve_into": lambda url: retrieve_into(Account(url, print), None),
    "probe": lambda url: probe(url),
    "POP3Client": lambda url: enter(POP3Client(url)),
}


@pytest.mark.parametrize("place", ["127.0.0.1:1", "127.0.0.1:1/path", "127.0.0.1:65536", "-", "[::1]x"])
@pytest.mark.parametrize("scheme", ["smtp", "pop3", "lmtp"])
@pytest.mark.parametrize("name", OPENERS)
async def test_whatever_takes_a_url_that_leads_nowhere_lets_no_frame_hold_its_password(
    name: str, scheme: str, place: str
) -> None:
    with pytest.raises((ValueError, MailwireError)) as caught:
        await OPENERS[name](f"{scheme}://bob:{secrecy.CANARY}@{place}")
    assert_hidden(secrecy.CANARY, caught.value)


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_dialogue_that_went_well_tells_no_password(protocol: str) -> None:
    session = {"smtp": SMTP["login"], "pop3": POP3["lockstep"]}[protocol]
    transcript = Transcript(limit=None)
    async with ScriptedPeer(*session.script) as peer:
        endpoint = peer.endpoint(protocol=protocol, **session.settings)
        if protocol == "smtp":
            await mailwire.send(
                MESSAGE, endpoint, sender="a@example.org", recipients="b@example.org", transcript=transcript
            )
        else:
            await mailwire.retrieve(endpoint, transcript=transcript)
    assert not disguised_in(transcript.render())
    assert "****" in transcript.render()
    assert not disguised_in(repr(list(transcript)))
    assert PASSWORD in peer.heard or base64.b64encode(PASSWORD) in peer.heard


@pytest.mark.parametrize("session", [SMTP["login"], POP3["lockstep"], POP3["pipelined"]], ids=["SMTP", "PASS", "AUTH"])
async def test_a_dialogue_that_is_cut_anywhere_tells_no_password(session: Session) -> None:
    protocol = "smtp" if session is SMTP["login"] else "pop3"
    for place in range(0, sum(map(spoken, session.script)), 3):
        transcript = Transcript(limit=None)
        async with ScriptedPeer(*session.cut(place, FIN)) as peer:
            endpoint = peer.endpoint(protocol=protocol, **session.settings).replace(connect=once(peer))
            try:
                if protocol == "smtp":
                    await mailwire.send(
                        MESSAGE, endpoint, sender="a@example.org", recipients="b@example.org", transcript=transcript
                    )
                else:
                    await mailwire.retrieve(endpoint, transcript=transcript)
            except MailwireError as error:
                check(error, endpoint, transcript.render())


# What a server says back


def echoes(said: str) -> tuple[str, ...]:
    """What a server that was told `said` might make of it."""
    raw = CANARY
    encoded = base64.b64encode(PASSWORD).decode()
    return (said, raw, encoded, PASSWORD.hex(), PASSWORD.hex().upper(), f"{said} {raw} {encoded}")


@pytest.mark.parametrize("place", ["refusal", "lines", "garbage", "behind", "cut", "long", "challenge", "421"])
async def test_a_server_that_says_back_what_it_was_told_is_not_quoted(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    for echo in echoes(f"AUTH PLAIN {PLAIN}"):
        end: tuple[Step, ...] = {
            "refusal": (f"S: 535 5.7.8 {echo} is wrong", STALL),
            "lines": (f"S: 535-{echo}", f"S: 535 {echo}", STALL),
            "garbage": (f"S: {echo}", LISTEN),
            "behind": ("S: 535 no", f"S: {echo}", LISTEN),
            "cut": (f"535 {echo}"[:-3].encode(), FIN),
            "long": (f"S: 535 {echo * 9000}"[:9000], LISTEN),
            "challenge": ("S: 334 " + base64.b64encode(echo.encode()).decode(), "C: *", f"S: 501 {echo}", LISTEN),
            "421": (f"S: 421 {echo}", FIN),
        }[place]
        with caplog.at_level(logging.DEBUG):
            _, transcript = await fails_with((*SMTP_LOGINS["PLAIN"], *end), "smtp")
        assert not disguised_in(caplog.text)
        assert not disguised_in(repr(list(transcript)))


@pytest.mark.parametrize("place", ["refusal", "garbage", "behind", "cut", "long"])
@pytest.mark.parametrize("login", ["PASS", "PLAIN", "password of LOGIN"])
async def test_a_pop3_server_that_says_back_what_it_was_told_is_not_quoted(
    login: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    for echo in echoes({"PASS": f"PASS {CANARY}", "PLAIN": f"AUTH PLAIN {PLAIN}"}.get(login, CANARY)):
        end: tuple[Step, ...] = {
            "refusal": (f"S: -ERR [AUTH] {echo} is wrong", STALL),
            "garbage": (f"S: {echo}", LISTEN),
            "behind": ("S: -ERR [AUTH] no", f"S: {echo}", LISTEN),
            "cut": (f"-ERR {echo}"[:-3].encode(), FIN),
            "long": (f"S: -ERR {echo * 9000}"[:9000], LISTEN),
        }[place]
        with caplog.at_level(logging.DEBUG):
            _, transcript = await fails_with((*POP3_LOGINS[login], *end), "pop3")
        assert not disguised_in(caplog.text)
        assert not disguised_in(repr(list(transcript)))


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_a_server_that_greets_with_what_it_was_told_before_is_not_quoted(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    said, refused = (f"554 I know {CANARY}", "535 no") if protocol == "smtp" else (f"-ERR I know {CANARY}", "-ERR no")
    login = SMTP_LOGINS["PLAIN"] if protocol == "smtp" else POP3_LOGINS["PASS"]
    scripts: tuple[tuple[Step, ...], ...] = ((*login, f"S: {refused}", LISTEN), (f"S: {said}", LISTEN))
    transcript = Transcript(limit=None)
    async with (
        ScriptedPeer(*scripts[0], lenient=True) as first,
        ScriptedPeer(*scripts[1], lenient=True) as second,
        ScriptedPeer(*scripts[1], lenient=True) as third,
    ):
        peers = iter((first, second, third))

        async def connect() -> socket.socket:
            return await next(peers).connect()

        endpoint = first.endpoint(protocol=protocol, auth=CREDENTIALS, allow_cleartext_auth=True, connect=connect)
        client = (SMTPClient if protocol == "smtp" else POP3Client)(endpoint, transcript=transcript)
        with caplog.at_level(logging.DEBUG):
            for told in ("no", r"I know \*\*\*\*", r"I know \*\*\*\*"):
                with pytest.raises(MailwireError, match=told) as caught:
                    await client.connect()
                check(caught.value, transcript.render(), transcript.tail(), client)
    assert not disguised_in(caplog.text)


@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_what_is_refused_behind_a_login_does_not_show_it(protocol: str) -> None:
    said = echoes(PLAIN if protocol == "smtp" else f"PASS {CANARY}")
    answers = [
        step for echo in said for step in ("C: NOOP", f"S: 502 {echo}" if protocol == "smtp" else f"S: -ERR {echo}")
    ]
    logged_in = (*SMTP_LOGINS["PLAIN"], "S: 235 ok") if protocol == "smtp" else (*POP3_LOGINS["PASS"], "S: +OK")
    async with ScriptedPeer(*logged_in, *answers, LISTEN) as peer:
        endpoint = peer.endpoint(protocol=protocol, auth=CREDENTIALS, allow_cleartext_auth=True)
        client = SMTPClient(endpoint) if protocol == "smtp" else POP3Client(endpoint)
        await client.connect()
        for _ in said:
            with pytest.raises(MailwireError) as caught:
                await (client.execute(Noop()) if isinstance(client, SMTPClient) else client.noop())
            check(caught.value)
        client.abort()


async def test_a_session_that_is_watched_is_logged_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    script = (*SMTP_LOGINS["PLAIN"], "S: 235 ok", "C: QUIT", "S: 221 \x1b[31mbye")
    caplog.set_level(logging.DEBUG, logger="mailwire.smtp")
    async with ScriptedPeer(*script) as peer:
        client = SMTPClient(peer.endpoint(auth=CREDENTIALS, allow_cleartext_auth=True))
        await client.connect()
        await client.quit()
    lines = [record.getMessage() for record in caplog.records if record.name == "mailwire.smtp"]
    assert lines[0] == "smtp://localhost:25 S: 220 mx"
    assert "smtp://localhost:25 C: AUTH PLAIN ****" in lines
    assert lines[-1] == r"smtp://localhost:25 S: 221 \x1b[31mbye"
    assert not disguised_in(caplog.text)


async def test_a_level_that_is_changed_counts_from_the_next_call_on(caplog: pytest.LogCaptureFixture) -> None:
    smtp = ("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 250 mx", *("C: NOOP", "S: 250 ok") * 3, "C: QUIT", "S: 221 bye")
    logger = logging.getLogger("mailwire.smtp")
    async with ScriptedPeer(*smtp) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        for level, told in ((logging.DEBUG, 2), (logging.INFO, 0), (logging.DEBUG, 2)):
            caplog.clear()
            with caplog.at_level(level, logger=logger.name):
                await client.execute(Noop())
            assert len(caplog.records) == told
        await client.quit()
    assert sum(entry.lines() == ["C: NOOP"] for entry in client.transcript) == 3
