"""`mailwire send`, against the loopback server."""

import asyncio
import io
import json
import re
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from mailwire.cli import main
from mailwire.testing import FIN, LISTEN, MAIL_DATA, STALL, Account, Answers, MailServer, Policy, ScriptedPeer
from mailwire.testing.turns import turns
from tests.aio.dialogues import SMTP_ANSWERS
from tests.cli.program import Ended, mailwire, start

MESSAGE = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\nHello\r\n"


@pytest.fixture
async def server() -> AsyncGenerator[MailServer, None]:
    async with MailServer([Account("b", "secret", ("b@example.org",))]) as server:
        yield server


def url(server: MailServer) -> str:
    return f"smtp://localhost:{server.smtp_port}"


def contents(server: MailServer) -> list[bytes]:
    return [message.content for message in server.messages("b")]


async def test_a_file_is_sent_as_it_is(server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "mail").write_bytes(MESSAGE)
    ended = await mailwire("send", url(server), tmp_path / "mail")

    assert ended == Ended(0, ended.out, "")
    assert ended.out.startswith("accepted  b@example.org  250 ")
    assert contents(server) == [MESSAGE]


@pytest.mark.parametrize("arguments", [(), ("-",)])
async def test_standard_input_is_sent(server: MailServer, arguments: tuple[str, ...]) -> None:
    ended = await mailwire("send", url(server), *arguments, stdin=MESSAGE.replace(b"\r\n", b"\n"))

    assert ended.status == 0
    assert contents(server) == [MESSAGE]


async def test_who_gets_it_can_be_said(server: MailServer) -> None:
    raw = b"Subject: no addresses\r\n\r\nHello\r\n"
    ended = await mailwire(
        "send", url(server), "--from", "", "--to", "b@example.org", "--to", "c@example.org", "-q", stdin=raw
    )

    assert ended.status == 69  # one of them
    assert contents(server) == [raw]
    envelope = server.messages("b")[0].envelope
    assert envelope is not None
    assert (envelope.sender, envelope.recipients) == ("", ("b@example.org",))


async def test_blind_copies_stay_blind(server: MailServer) -> None:
    ended = await mailwire("send", url(server), stdin=MESSAGE.replace(b"To: b@", b"To: b@example.org\r\nBcc: b@"))

    assert ended.status == 0
    assert b"Bcc" not in contents(server)[0]
    assert b"Hello" in contents(server)[0]


async def test_a_message_can_be_made_of_options(server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\x00")
    (tmp_path / "archive.tar.gz").write_bytes(b"\x1f\x8b")
    ended = await mailwire(
        *("send", url(server), "--from", "a@example.org", "--to", "b@example.org", "--subject", "Grüße"),
        *("--attach", tmp_path / "photo.png", "--attach", tmp_path / "archive.tar.gz"),
        stdin="Schöne Grüße\n".encode(),
    )

    assert ended.status == 0
    message = message_from_bytes(contents(server)[0], policy=SMTP)
    assert message["Subject"] == "Grüße"
    text, *attached = message.iter_parts()
    assert text.get_content() == "Schöne Grüße\r\n"
    assert [(part.get_content_type(), part.get_filename(), part.get_content()) for part in attached] == [
        ("image/png", "photo.png", b"\x89PNG\x00"),
        ("application/octet-stream", "archive.tar.gz", b"\x1f\x8b"),
    ]


async def test_copies_open_and_blind_are_for_a_message_made_of_options(server: MailServer) -> None:
    who = ("--from", "a@b.org", "--cc", "b@example.org", "--bcc", "c@example.org")
    ended = await mailwire("send", url(server), *who, "--text", "Hi")

    assert ended.status == 69  # nobody knows of c
    assert [line.split()[:2] for line in ended.out.splitlines()] == [
        ["accepted", "b@example.org"],
        ["refused", "c@example.org"],
    ]
    message = message_from_bytes(contents(server)[0], policy=SMTP)
    assert (message["To"], message["Cc"], message["Bcc"]) == (None, "b@example.org", None)


async def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    line = b"0123456789" * 7 + b"\r\n"
    lines = 64 * 1024 * 1024 // len(line)
    with (tmp_path / "mail").open("wb") as file:
        file.write(MESSAGE)
        for _ in range(64):
            file.write(line * (lines // 64))
    program = textwrap.dedent("""
        import re, sys
        from mailwire.cli import main

        def peak():
            with open("/proc/self/status") as status:
                return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])

        before = peak()
        status = main(sys.argv[1:])
        print(peak() - before, file=sys.stderr)
        sys.exit(status)
    """)
    large = Policy(size_limit=100 * 1024 * 1024)
    async with MailServer([Account("b", "secret", ("b@example.org",))], policy=large) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "send", url(server), str(tmp_path / "mail")), stdout=PIPE, stderr=PIPE
        )
        _, err = await process.communicate()

    assert process.returncode == 0
    assert len(contents(server)[0]) == (tmp_path / "mail").stat().st_size
    assert int(err) < 24 * 1024  # KiB


async def test_mail_is_delivered_by_lmtp() -> None:
    async with MailServer([Account("b", "secret", ("b@example.org",))]) as server:
        ended = await mailwire("send", f"lmtp://localhost:{server.lmtp_port}", "--to", "b@example.org", stdin=MESSAGE)

    assert (ended.status, ended.err) == (0, "")
    assert contents(server) == [MESSAGE]


async def test_a_text_can_be_said(server: MailServer) -> None:
    ended = await mailwire("send", url(server), "--from", "a@b.org", "--to", "b@example.org", "--text", "Hi")

    assert ended.status == 0
    assert contents(server)[0].endswith(b"\r\n\r\nHi\r\n")


async def test_the_receipt_can_be_had_as_json(server: MailServer) -> None:
    who = ("--to", "b@example.org", "--to", "c@example.org")
    ended = await mailwire("send", url(server), "--json", *who, stdin=MESSAGE)

    values = json.loads(ended.out)
    assert ended.status == 69
    assert (values["delivery"], values["sender"], values["octets"]) == ("accepted", "a@example.org", len(MESSAGE))
    assert [recipient["delivery"] for recipient in values["recipients"]] == ["accepted", "refused"]
    assert values["recipients"][1]["reply"]["code"] == 550


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "said"),
    [
        (("--to", "b@example.org", "--text", "x"), b"", 64, "takes --from, and --to, --cc or --bcc"),
        (("--text", "x", "--from", "a@b.org", "--to", "c@d.org", "mail"), b"", 64, "not both"),
        (("--cc", "c@d.org"), MESSAGE, 64, "--cc and --bcc are for a message made of options"),
        (("none",), b"", 66, "No such file"),
        (("--attach", "none", "--from", "a@b.org", "--to", "c@d.org"), b"", 66, "No such file"),
        ((), b"Subject: x\r\n\r\n", 65, "neither From nor Sender"),
        ((), b"From: a@b.org\r\nTo: c\r\n\r\n", 65, "expected addresses in To"),
        (("--to", "c@d.org"), MESSAGE + b"\0", 65, "NUL"),
        (("--nonsense",), b"", 64, "unrecognized arguments"),
        (("--from", "a@b.org", "--to", "c@d.org", "--subject", "caf\udce9"), b"", 65, "behind --subject"),
        (("--from", "a@b.org", "--to", "c@d.org", "--text", "caf\udce9"), b"", 65, "behind --text"),
        (("--from", "a@b.org", "--to", "c@d.org", "--subject", "x"), b"\xe9", 65, "expected text in utf-8"),
    ],
)
def test_what_cannot_be_sent_is_told_before_anybody_is_asked(
    arguments: tuple[str, ...],
    stdin: bytes,
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    # Nobody listens there: it would be told if anybody was asked.
    ended = main(["send", "smtp://127.0.0.1:1", *arguments])

    out, err = capsys.readouterr()
    assert (ended, out) == (status, "")
    assert said in err
    assert "no connection" not in err


def test_a_closed_standard_input_is_no_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    for words in ((), ("--from", "a@b.org", "--to", "c@d.org", "--subject", "x")):
        assert main(["send", "smtp://127.0.0.1:1", *words]) == 66
        assert "standard input, which is closed" in capsys.readouterr().err
    assert main(["send", "smtp://127.0.0.1:1", "--from", "a@b.org", "--to", "c@d.org", "--text", "x"]) == 75


@pytest.mark.parametrize("redirections", [">/dev/full 2>&1", ">&- 2>&- <&-"])
async def test_a_mail_that_was_accepted_stays_so_whatever_becomes_of_the_receipt(
    server: MailServer, tmp_path: Path, redirections: str
) -> None:
    (tmp_path / "mail").write_bytes(MESSAGE)
    ended = await mailwire("send", url(server), tmp_path / "mail", "--transcript", redirections=redirections)

    assert ended.status == 0
    assert contents(server) == [MESSAGE]


async def test_a_name_that_would_move_the_cursor_is_escaped(server: MailServer) -> None:
    who = ("--from", "a@example.org", "--to", "\N{RIGHT-TO-LEFT OVERRIDE}b@example.org")
    ended = await mailwire("send", url(server), *who, stdin=MESSAGE)

    assert ended.out.startswith("refused   \\u202eb@example.org")
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in ended.out + ended.err


def test_a_typo_in_a_url_says_what_was_expected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MESSAGE)))

    assert main(["send", "smtp//localhost"]) == 64
    assert "expected a URL that begins with one of smtps://" in capsys.readouterr().err


def peer(**answers: str) -> ScriptedPeer:
    return ScriptedPeer("S: 220 mx", Answers({**SMTP_ANSWERS, **answers}), LISTEN, listen=True)


@pytest.mark.parametrize(
    ("answers", "status", "said"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, 69, "refused   b@example.org  550 5.1.1 no such user"),
        ({"RCPT": "450 4.2.1 later"}, 75, "refused   b@example.org  450 4.2.1 later"),
        ({"MAIL": "550 not you"}, 69, "refused   b@example.org"),
        ({"DATA": "451 later"}, 75, "refused   b@example.org"),
        ({"EHLO": "500 what", "HELO": "500 what"}, 69, "not sent  b@example.org"),
    ],
)
async def test_a_refusal_is_told_for_each_recipient(answers: dict[str, str], status: int, said: str) -> None:
    async with peer(**answers) as server:
        ended = await mailwire("send", f"smtp://127.0.0.1:{server.port}", stdin=MESSAGE)

    assert ended.status == status
    assert said in ended.out
    assert "mailwire: " in ended.err


async def test_nobody_listening_may_be_there_later(server: MailServer) -> None:
    where = url(server)
    await server.close()
    ended = await mailwire("send", where, stdin=MESSAGE)

    assert ended.status == 75
    assert ended.out == "not sent  b@example.org\n"


UP_TO_DATA = ("S: 220 mx", "C: EHLO ...", "S: 250 mx", "C: MAIL ...", "S: 250 ok", "C: RCPT ...", "S: 250 ok")
UP_TO_END = (*UP_TO_DATA, "C: DATA", "S: 354 go", MAIL_DATA)


async def test_some_who_are_to_be_tried_again_are_not_told_as_all() -> None:
    other = ("C: RCPT ...", "S: 450 later", "C: DATA", "S: 354 go", MAIL_DATA)
    script = (*UP_TO_DATA, *other, "S: 250 taken", "C: QUIT", "S: 221 bye", FIN)
    async with ScriptedPeer(*script, listen=True) as server:
        who = ("--to", "b@example.org", "--to", "c@example.org")
        ended = await mailwire("send", f"smtp://127.0.0.1:{server.port}", *who, stdin=MESSAGE)

    assert ended.status == 74  # for 75, b would get it twice
    assert ended.out == "accepted  b@example.org  250 taken\nrefused   c@example.org  450 later\n"


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
async def test_who_was_refused_is_an_error_and_told_in_quiet_too(quiet: str) -> None:
    other = ("C: RCPT ...", "S: 550 5.1.1 no such user", "C: DATA", "S: 354 go", MAIL_DATA)
    script = (*UP_TO_DATA, *other, "S: 250 taken", "C: QUIT", "S: 221 bye", FIN)
    async with ScriptedPeer(*script, listen=True) as server:
        who = ("--to", "b@example.org", "--to", "c@example.org")
        ended = await mailwire("send", f"smtp://127.0.0.1:{server.port}", quiet, *who, stdin=MESSAGE)

    assert ended.status == 69
    assert ended.out == ""
    assert ended.err == "mailwire: c@example.org was refused: 550 5.1.1 no such user\n"


async def test_starttls_that_is_refused_for_now_may_be_there_later() -> None:
    hello = ("S: 220 mx", "C: EHLO ...", "S: 250-mx", "S: 250 STARTTLS", "C: STARTTLS")
    async with ScriptedPeer(*hello, "S: 454 4.7.0 later", LISTEN, listen=True) as server:
        ended = await mailwire("send", f"smtp+starttls://127.0.0.1:{server.port}", stdin=MESSAGE)

    assert ended.status == 75
    assert ended.out == "not sent  b@example.org\n"
    assert "offers STARTTLS and refuses it: 454 4.7.0 later" in ended.err


async def test_a_signal_while_it_takes_leave_does_not_make_the_mail_unsent() -> None:
    async with ScriptedPeer(*UP_TO_END, "S: 250 taken", "C: QUIT", STALL, listen=True) as server:
        process = await start("send", f"smtp://127.0.0.1:{server.port}")
        assert process.stdin is not None
        process.stdin.write(MESSAGE)
        process.stdin.close()
        while "QUIT" not in server.commands:
            await turns()
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()

    assert (process.returncode, out, err) == (0, b"accepted  b@example.org  250 taken\n", b"")


async def test_a_lost_connection_behind_the_mail_is_told_as_what_it_is() -> None:
    async with ScriptedPeer(*UP_TO_END, FIN, listen=True) as server:
        ended = await mailwire("send", f"smtp://127.0.0.1:{server.port}", stdin=MESSAGE)

    assert ended.status == 74  # whoever takes that for "try again" would send it twice
    assert ended.out == "unknown   b@example.org\n"


@pytest.mark.parametrize(("script", "word"), [((*UP_TO_DATA, "C: DATA"), "not sent "), (UP_TO_END, "unknown  ")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_the_truth(script: tuple[Any, ...], word: str, number: signal.Signals) -> None:
    async with ScriptedPeer(*script, STALL, listen=True) as server:
        process = await start("send", f"smtp://127.0.0.1:{server.port}")
        assert process.stdin is not None
        process.stdin.write(MESSAGE)
        process.stdin.close()
        while not server.commands or server.commands[-1] != ("DATA" if len(script) < 10 else "."):
            await turns()
        process.send_signal(number)
        out, err = await process.communicate()

    assert (process.returncode, out.decode()) == (128 + number, f"{word} b@example.org\n")
    assert err == b"mailwire: interrupted\n"


async def test_a_transcript_shows_the_dialogue_without_secrets(server: MailServer) -> None:
    where = url(server).replace("smtp://", "smtp://b@")
    ended = await mailwire(
        *("send", where, "--transcript", "--allow-cleartext-auth"),
        stdin=MESSAGE,
        environment={"MAILWIRE_PASSWORD": "secret"},
    )

    assert ended.status == 0
    assert "C: AUTH PLAIN ****" in ended.err
    assert f"C: ({len(MESSAGE)} octets)" in ended.err
    assert "secret" not in ended.out + ended.err


async def test_credentials_that_are_refused_are_told(server: MailServer) -> None:
    where = url(server).replace("smtp://", "smtp://b@")
    environment = {"MAILWIRE_PASSWORD": "wrong"}
    ended = await mailwire("send", where, "--allow-cleartext-auth", stdin=MESSAGE, environment=environment)
    assert ended.status == 77
    assert "not sent" in ended.out

    ended = await mailwire("send", where, stdin=MESSAGE, environment={"MAILWIRE_PASSWORD": "secret"})
    assert ended.status == 77
    assert "without TLS" in ended.err or "in the clear" in ended.err


async def test_a_command_for_tokens_that_fails_is_told_with_what_became_of_the_mail(tmp_path: Path) -> None:
    # Each message of a session has one recipient, and each session one message: the second asks for a token anew.
    policy = Policy(mechanisms=("XOAUTH2",), recipient_limit=1, message_limit=1)
    account = Account("b", "", ("b@example.org", "c@example.org"), access_tokens=["token"])
    once = tmp_path / "once"
    async with MailServer([account], policy=policy) as server:
        where = url(server).replace("smtp://", "smtp://b@")
        words = ("send", where, "--allow-cleartext-auth", "--to", "b@example.org", "--to", "c@example.org")
        never = await mailwire(*words, "--token-command", "false", "--json", stdin=MESSAGE)
        made = ("--from", "a@example.org", "--text", "Hello")  # which can be sent in parts
        then = await mailwire(*words, "--token-command", f"sh -c 'mkdir {once} && echo token'", *made)

    assert (never.status, json.loads(never.out)["delivery"]) == (64, "not sent")
    assert then.status == 74  # b has it
    assert [line.split("  ")[0] for line in then.out.splitlines()] == ["accepted", "not sent"]
    for ended in (never, then):
        assert "mailwire: the command for the password or token has failed with status 1: " in ended.err
    assert [content.endswith(b"\r\n\r\nHello\r\n") for content in contents(server)] == [True]


async def test_a_terminal_shows_how_far_it_has_come() -> None:
    # The server takes its time with the verdict, and the message is long enough for several blocks.
    program = (
        "import sys, time; from mailwire.cli import progress, main; progress._PATIENCE = progress._PAUSE = 0;"
        "sys.stderr.isatty = lambda: True; sys.exit(main(sys.argv[1:]))"
    )
    async with MailServer([Account("b", "secret", ("b@example.org",))]) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "send", url(server)), stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        _, err = await process.communicate(MESSAGE + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 10_000)

    assert process.returncode == 0
    assert re.match(rb"\r\x1b\[K\d.* kB  .*B/s", err)
    assert err.endswith(b"\r\x1b[K")
