"""`mailwire fetch`, against the loopback server."""

import asyncio
import json
import mailbox
import os
import pty
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mailwire as front
from mailwire.cli import main
from mailwire.cli.fetch import make_parser
from mailwire.maildrop import Maildir, SQLiteLedger
from mailwire.testing import QUIRKS, STALL, Defect, MailServer, Policy, POP3Quirk, Quirk, ScriptedPeer, Slow
from mailwire.testing.turns import turns
from tests.cli.program import SCRIPT, Ended, mailwire, start
from tests.maildrop.runs import USER, endpoint_at, fill

PASSWORD = {"MAILWIRE_PASSWORD": "secret"}


@pytest.fixture
async def server() -> AsyncGenerator[MailServer, None]:
    async with MailServer([USER]) as server:
        fill(server, "one", "two")
        yield server


async def fetch(server: MailServer, home: Path, *arguments: object, **environment: str) -> Ended:
    url = f"pop3://b@localhost:{server.pop3_port}"
    settings = {**PASSWORD, **environment}
    return await mailwire("fetch", url, "--allow-cleartext-auth", *arguments, home=home, environment=settings)


def stored(path: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in (path / "new").glob("*"))


def uids(server: MailServer) -> list[str]:
    return [message.uid for message in server.messages("b")]


async def test_new_mail_comes_into_a_maildir_and_only_once(server: MailServer, tmp_path: Path) -> None:
    first = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail")
    fill(server, "three")
    second = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail")

    assert (first.status, first.err) == (0, "")
    assert first.out.startswith(f"b@localhost:{server.pop3_port}: 2 stored; 54 octets in ")
    assert second.out.startswith(f"b@localhost:{server.pop3_port}: 1 stored, 2 known; ")
    assert stored(tmp_path / "Mail") == sorted(
        f"Subject: {text}\n\nHello {text}\n".encode() for text in ("one", "two", "three")
    )
    assert (tmp_path / ".local" / "state" / "mailwire" / "ledger.db").exists()
    assert uids(server) == ["one", "two", "three"]


@pytest.mark.parametrize("keep", ["until-stored", "0d"])
async def test_mail_can_be_appended_to_a_file_and_deleted(server: MailServer, tmp_path: Path, keep: str) -> None:
    options = ("--mbox", tmp_path / "mbox", "--keep", keep)
    ended = await fetch(server, tmp_path, *options, XDG_STATE_HOME=str(tmp_path))

    assert ended.status == 0
    assert "2 stored, 2 deleted" in ended.out
    box = mailbox.mbox(tmp_path / "mbox")
    assert [message["Subject"] for message in box] == ["one", "two"]
    box.close()
    assert uids(server) == []
    assert (tmp_path / "mailwire" / "ledger.db").exists()


UNTIL_STORED = ("--keep", "until-stored")


@pytest.mark.parametrize("kind", ["--maildir", "--mbox"])
async def test_what_one_place_has_had_is_new_for_another(server: MailServer, tmp_path: Path, kind: str) -> None:
    trial, real = tmp_path / "trial", tmp_path / "real"
    await fetch(server, tmp_path, kind, trial)
    trial.rename(tmp_path / "gone")
    ended = await fetch(server, tmp_path, kind, real, *UNTIL_STORED)

    assert "2 stored, 2 deleted" in ended.out
    content = b"".join(stored(real)) if kind == "--maildir" else real.read_bytes()
    assert [text in content for text in (b"Hello one\n", b"Hello two\n")] == [True, True]
    assert uids(server) == []


async def test_a_place_is_the_same_by_whatever_way_it_is_named(server: MailServer, tmp_path: Path) -> None:
    await fetch(server, tmp_path, "--maildir", tmp_path / "Mail \N{LATIN SMALL LETTER U WITH DIAERESIS}\udcff")
    (tmp_path / "link").symlink_to(tmp_path / "Mail \N{LATIN SMALL LETTER U WITH DIAERESIS}\udcff")

    assert "2 known" in (await fetch(server, tmp_path, "--maildir", tmp_path / "no" / ".." / "link")).out


async def test_what_is_known_of_no_place_is_of_the_first_that_is_there(server: MailServer, tmp_path: Path) -> None:
    ledger = tmp_path / "mailwire" / "ledger.db"
    ledger.parent.mkdir()
    endpoint = replace(endpoint_at(server), host="localhost")
    await front.retrieve(endpoint, into=Maildir(tmp_path / "Mail"), ledger=ledger)

    async def said(place: str) -> str:
        arguments = ("--maildir", tmp_path / place)
        return (await fetch(server, tmp_path, *arguments, XDG_STATE_HOME=str(tmp_path))).out.split("; ")[0]

    account = f"b@localhost:{server.pop3_port}"
    assert [await said(place) for place in ("none", "Mail", "Mail", "none", "other")] == [
        f"{account}: {what}" for what in ("2 stored", "2 known", "2 known", "2 known", "2 stored")
    ]


async def test_a_ledger_that_is_named_knows_of_no_places(server: MailServer, tmp_path: Path) -> None:
    named = ("--ledger", tmp_path / "state.db")
    await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", *named)

    assert "2 known" in (await fetch(server, tmp_path, "--maildir", tmp_path / "other", *named)).out
    account = f"b@localhost:{server.pop3_port}"
    async with SQLiteLedger(tmp_path / "state.db") as ledger, ledger.claim(account) as page:
        assert len(await page.records()) == 2


async def test_options_make_the_policy(server: MailServer, tmp_path: Path) -> None:
    server.maildrop.put("b", b"Subject: long\r\n\r\n" + b"x" * 5000, uid="long")
    where = ("--maildir", tmp_path / "Mail", "--ledger", tmp_path / "state.db")
    ended = await fetch(server, tmp_path, *where, "--max-size", "1k", "--limit", 1, "--newest-first", "--keep", "14d")

    assert ended.status == 0
    assert "1 stored, 1 too large, 1 left" in ended.out
    assert "      3  too large" in ended.out
    assert b"two" in stored(tmp_path / "Mail")[0]
    assert len(uids(server)) == 3


async def test_a_report_can_be_had_as_json_and_nothing_at_all(server: MailServer, tmp_path: Path) -> None:
    ended = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--json")
    quiet = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--quiet")

    values = json.loads(ended.out)
    assert [message["outcome"] for message in values["messages"]] == ["stored", "stored"]
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


async def test_a_transcript_shows_the_dialogue_without_secrets(server: MailServer, tmp_path: Path) -> None:
    ended = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--transcript")

    assert "C: RETR 1" in ended.err
    assert "secret" not in ended.out + ended.err


async def test_what_goes_wrong_has_its_status(server: MailServer, tmp_path: Path) -> None:
    mails = ("--maildir", tmp_path / "Mail")
    wrong = await fetch(server, tmp_path, *mails, MAILWIRE_PASSWORD="wrong")
    assert (wrong.status, "mailwire: AUTH" in wrong.err) == (77, True)

    (tmp_path / "file").touch()
    full = await fetch(server, tmp_path, "--maildir", tmp_path / "file")
    assert (full.status, "could not be stored" in full.err) == (73, True)

    (tmp_path / "bad.db").write_bytes(b"noise" * 1000)
    bad = await fetch(server, tmp_path, *mails, "--ledger", tmp_path / "bad.db", "--keep", "until-stored")
    assert (bad.status, "caution: the ledger" in bad.err) == (74, True)
    assert len(stored(tmp_path / "Mail")) == len(uids(server)) == 2

    none = await fetch(server, tmp_path, *mails, "--ledger", tmp_path / "no" / "state.db")
    assert (none.status, "there is no folder" in none.err) == (74, True)

    maildrop = server.maildrop.open("b")
    assert maildrop is not None
    busy = await fetch(server, tmp_path, *mails)
    assert (busy.status, "IN-USE" in busy.err) == (75, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--maildir FOLDER or --mbox FILE"),
        (("--maildir", "x", "--mbox", "y"), "--maildir FOLDER or --mbox FILE"),
        (("--maildir", "x", "--keep", "14"), "expected a duration such as"),
        (("--maildir", "x", "--max-size", "big"), "expected a number of octets"),
        (("--maildir", "x", "--watch", "often"), "expected a duration such as"),
        (("--maildir", "x", "--watch", "0s"), "expected a time between two runs, which is none in '0s'"),
        (("--maildir", "x", "--watch=0w"), "expected a time between two runs, which is none in '0w'"),
        (("--maildir", "x", "--limit", "-1"), "expected limit to be 0 at least, got -1"),
        (("--maildir", "x"), "expected a user in the URL, such as pop3s://me@"),
        (("--maildir", ""), "expected the name of a file or folder"),
        (("--mbox", ""), "expected the name of a file or folder"),
        (("--maildir", "x", "--ledger", ""), "expected the name of a file or folder"),
    ],
)
def test_a_mistake_in_the_arguments_is_told(
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["fetch", "pop3s://localhost:1", *words]) == 64
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fetch", "smtps://b@localhost:1", "--maildir", "x"), "POP3, got smtps://localhost:1"),
        (("send", "pop3s://b@localhost:1", "--from", "a@b", "--to", "c@d", "--text", "x"), "SMTP or LMTP, got pop3s:"),
    ],
)
def test_a_server_for_another_protocol_is_told(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 64
    assert f"mailwire: expected the URL of a server for {expected}" in capsys.readouterr().err


BROKEN = Quirk("broken", pop3=POP3Quirk(defects={1: Defect.UNAVAILABLE}))


async def test_of_a_message_that_failed_too_often_it_is_told_what_has_it_tried_again(tmp_path: Path) -> None:
    async with MailServer([USER], quirk=BROKEN) as server:
        fill(server, "one", "two")
        ended = [await fetch(server, tmp_path, "--maildir", tmp_path / "Mail") for _ in range(4)]
        again = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--retry-failed")

    assert [each.status for each in (*ended, again)] == [75] * 5
    assert ["  failed  " in each.out for each in (*ended, again)] == [True, True, True, False, True]
    advice = "it has failed too often; give --retry-failed to have it tried again"
    assert [advice in each.out for each in (*ended, again)] == [False, False, False, True, False]


async def test_what_failed_is_told_of_also_in_quiet(tmp_path: Path) -> None:
    async with MailServer([USER], quirk=BROKEN) as server:
        fill(server, "one", "two")
        ended = [await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--quiet") for _ in range(4)]
        told = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail")

    assert [(each.status, each.out) for each in ended] == [(75, "")] * 4
    assert all(each.err.startswith("mailwire: message 1  failed  ") for each in ended[:3])
    assert ended[3].err.startswith("mailwire: message 1  skipped  ")
    assert all(each.err.count("\n") == 1 for each in ended)
    assert told.err == ""


async def test_who_must_decide_is_told_by_what(server: MailServer, tmp_path: Path) -> None:
    fill(server, *map(str, range(8)))  # for fewer than ten it is not asked
    await fetch(server, tmp_path, "--maildir", tmp_path / "Mail")
    maildrop = server.maildrop.open("b")
    assert maildrop is not None
    for number in range(1, 11):
        maildrop.delete(number)
    maildrop.commit()
    maildrop.release()
    fill(server, *(f"new-{number}" for number in range(10)))
    asked = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail")
    answered = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--when-all-new", "fetch")

    assert asked.status == 78
    assert "say? Give --when-all-new match to retrieve " in asked.err
    assert ", or --when-all-new fetch to retrieve all of it\n" in asked.err
    assert (answered.status, "10 stored" in answered.out) == (0, True)


def test_the_words_of_keep_are_those_of_the_policy() -> None:
    parse = make_parser().parse_args
    assert parse(["x", "--keep", "for-ever"]).keep == "for ever"
    assert parse(["x", "--watch"]).watch.total_seconds() == 300


def test_a_url_is_no_time_to_go_on_for() -> None:
    for parse in (make_parser().parse_args, make_parser().parse_intermixed_args):
        for words in (["--watch", "pop3s://b@x"], ["--watch", "5min", "pop3s://b@x"], ["pop3s://b@x", "--watch"]):
            options = parse([*words, "--maildir", "Mail"])
            assert (options.url, options.watch.total_seconds()) == ("pop3s://b@x", 300)


async def two_reports(server: MailServer, home: Path, *options: object) -> tuple[list[Any], int | None, bytes, bytes]:
    """Let it go on until it has found another message; return both reports, and how it ended by a signal: with what
    status, and what it said in the end."""
    process = await start(
        *("fetch", f"pop3://b@localhost:{server.pop3_port}", "--allow-cleartext-auth"),
        *(*options, "--watch", "1s", "--json"),
        home=home,
        environment=PASSWORD,
    )
    assert process.stdout is not None
    reports = [json.loads(await process.stdout.readline())]
    fill(server, "three")
    reports.append(json.loads(await process.stdout.readline()))
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    return reports, process.returncode, out, err


async def test_it_goes_on_when_told_to_and_ends_by_a_signal(server: MailServer, tmp_path: Path) -> None:
    reports, status, out, err = await two_reports(server, tmp_path, "--maildir", tmp_path / "Mail")

    assert [len(report["messages"]) for report in reports] == [2, 1]
    assert (status, err) == (143, b"")
    assert out == b""
    assert len(stored(tmp_path / "Mail")) == 3


async def test_it_retrieves_nothing_again_where_its_ledger_cannot_be_read(server: MailServer, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    ledger.write_bytes(b"noise" * 1000)
    reports, *_ = await two_reports(server, tmp_path, "--ledger", ledger, "--mbox", tmp_path / "box")

    assert [len(report["messages"]) for report in reports] == [2, 1]
    assert [report["cautions"][0]["kind"] for report in reports] == ["ledger unreadable"] * 2
    assert (tmp_path / "box").read_text().count("From MAILER-DAEMON") == 3


async def test_the_dialogue_of_each_run_is_shown_while_it_goes_on(server: MailServer, tmp_path: Path) -> None:
    process = await start(
        *("fetch", f"pop3://b@localhost:{server.pop3_port}", "--allow-cleartext-auth", "--transcript"),
        *("--maildir", tmp_path / "Mail", "--watch", "1s", "--quiet"),
        home=tmp_path,
        environment=PASSWORD,
    )
    assert process.stderr is not None
    shown: list[bytes] = []
    while sum(line.endswith(b"C: QUIT\n") for line in shown) < 2:
        shown.append(await process.stderr.readline())
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert sum(b"C: RETR " in line for line in shown) == 2  # in the first run
    assert not any(b"secret" in line for line in shown)


async def test_it_does_not_go_on_where_nobody_reads_any_more(server: MailServer, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await start(
        *("fetch", f"pop3://b@localhost:{server.pop3_port}", "--allow-cleartext-auth"),
        *("--maildir", tmp_path / "Mail", "--watch", "1h"),
        home=tmp_path,
        environment=PASSWORD,
        stdout=writing,
    )
    os.close(writing)
    _, err = await process.communicate()

    assert (process.returncode, err) == (141, b"")
    assert len(stored(tmp_path / "Mail")) == 2


async def test_it_goes_on_where_its_reports_find_no_room(server: MailServer, tmp_path: Path) -> None:
    process = await start(
        *("fetch", f"pop3://b@localhost:{server.pop3_port}", "--allow-cleartext-auth", "--transcript"),
        *("--maildir", tmp_path / "Mail", "--watch", "1s"),
        home=tmp_path,
        environment=PASSWORD,
        redirections=">/dev/full",
    )
    assert process.stderr is not None
    shown: list[bytes] = []
    while sum(line.endswith(b"C: QUIT\n") for line in shown) < 2:
        shown.append(await process.stderr.readline())
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()

    assert process.returncode == 143
    assert err.endswith(b"mailwire: not all could be written: No space left on device\n")
    assert len(stored(tmp_path / "Mail")) == 2


def test_without_a_home_somebody_must_say_where_the_ledger_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", refuse)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    words = ["fetch", "pop3s://b@localhost:1", "--password-command", "echo x", "--maildir", str(tmp_path / "Mail")]
    assert main(words) == 64
    assert "expected --ledger FILE" in capsys.readouterr().err

    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert main(words) == 74
    assert "--ledger FILE names another" in capsys.readouterr().err


async def test_it_does_not_go_on_with_credentials_that_were_refused(server: MailServer, tmp_path: Path) -> None:
    ended = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--watch", "1s", MAILWIRE_PASSWORD="wrong")
    assert ended.status == 77


async def test_it_goes_on_where_a_command_for_tokens_has_failed(tmp_path: Path) -> None:
    async with MailServer([USER], policy=Policy(mechanisms=("XOAUTH2",))) as server:
        words: list[object] = ["fetch", f"pop3://b@localhost:{server.pop3_port}", "--allow-cleartext-auth"]
        words += ["--token-command", "false", "--maildir", tmp_path / "Mail"]
        once = await mailwire(*words, home=tmp_path)
        process = await start(*words, "--watch", "1s", home=tmp_path)
        assert process.stderr is not None
        said = [await process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()

    assert (once.status, once.out) == (64, "")
    assert once.err == "mailwire: the command for the password or token has failed with status 1: false\n"
    assert said == [once.err.encode()] * 2
    assert process.returncode == 143
    assert out.count(b"; ended by UsageError\n") == 2


LOGIN: tuple[Any, ...] = ("S: +OK pop", "C: CAPA", "S: -ERR no", "C: USER b", "S: +OK", "C: PASS secret", "S: +OK")
LISTED: tuple[Any, ...] = ("C: STAT", "S: +OK 2 14", "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: .")
LISTED += ("C: UIDL", "S: +OK", "S: 1 u1", "S: 2 u2", "S: .")


@pytest.mark.parametrize("words", [(), ("--watch", "1h")], ids=" ".join)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_the_truth(tmp_path: Path, number: signal.Signals, words: tuple[str, ...]) -> None:
    script = (*LOGIN, *LISTED, "C: RETR 1", "S: +OK", "S: first", "S: .", "C: RETR 2", STALL)
    async with ScriptedPeer(*script, listen=True, lenient=True) as server:
        process = await start(
            *("fetch", f"pop3://b@localhost:{server.port}", "--allow-cleartext-auth", "--keep", "until-stored"),
            *("--mbox", tmp_path / "mbox", "--transcript", *words),
            home=tmp_path,
            environment=PASSWORD,
        )
        while "RETR 2" not in server.commands:
            await turns()
        process.send_signal(number)
        out, err = await process.communicate()

    assert process.returncode == 128 + number
    assert b": 1 stored, 1 left; 7 octets in " in out
    assert out.endswith(b" s; not at its end\n")
    assert b"interrupted" in err
    assert b"C: RETR 2" in err
    assert b"first" in (tmp_path / "mbox").read_bytes()


async def test_a_terminal_shows_how_far_it_has_come(tmp_path: Path) -> None:
    # Slow enough for anybody to read it.
    slow = (*LOGIN, *LISTED, "C: RETR 1", "S: +OK", Slow(b"first, at long last\r\n", 20), "S: .")
    script = (*slow, "C: RETR 2", "S: +OK", "S: other", "S: .", "C: QUIT", "S: +OK")
    async with ScriptedPeer(*script, listen=True, lenient=True) as server:
        ours, theirs = pty.openpty()
        environment = {**os.environ, **PASSWORD, "HOME": str(tmp_path)}
        process = await asyncio.create_subprocess_exec(
            *(SCRIPT, "fetch", f"pop3://b@localhost:{server.port}", "--allow-cleartext-auth"),
            *("--maildir", str(tmp_path / "Mail")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        out, _ = await process.communicate()
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how Linux tells that the other end is closed
            pass
        os.close(ours)

    assert process.returncode == 0
    assert b"2 stored" in out
    assert b" of 2 messages  " in shown
    assert shown.endswith(b"\r\x1b[K")


async def test_unique_ids_can_be_asked_for_that_nobody_announces(tmp_path: Path) -> None:
    async with MailServer([USER], quirk=QUIRKS["jpop"]) as server:
        fill(server, "one", "two")
        without = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail")
        asked = [await fetch(server, tmp_path, "--maildir", tmp_path / "other", "--probe", "UIDL") for _ in range(2)]
    async with MailServer([USER], quirk=QUIRKS["no-uidl"]) as server:
        fill(server, "one", "two")
        in_vain = await fetch(server, tmp_path, "--maildir", tmp_path / "third", "--probe", "UIDL", "--probe", "TOP")

    advice = "; give --probe UIDL if the server has unique ids, and does not announce that\n"
    assert without.err.startswith("mailwire: caution: no message has a unique id")
    assert without.err.endswith(advice)
    assert [ended.out.split(": ")[1].split(";")[0] for ended in asked] == ["2 stored", "2 known"]
    assert [ended.err for ended in asked] == ["", ""]
    assert "caution: no message has a unique id" in in_vain.err
    assert "--probe" not in in_vain.err


@pytest.mark.parametrize(("words", "status"), [((), 76), (("--quirk", "blank-lines", "--quirk", "plus-err"), 0)])
async def test_what_a_server_does_against_the_standard_can_be_forgiven(
    words: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    script = (*LOGIN, *LISTED, "C: RETR 1", "S: +OK", "S: first", "S: .", "C: RETR 2", "S: +OK", "S: other", "S: .")
    script += ("C: DELE 1", "S: ", "S: +OK", "C: DELE 2", "S: +OK", "C: QUIT", "S: +OK")
    async with ScriptedPeer(*script, listen=True, lenient=True) as server:
        ended = await mailwire(
            *("fetch", f"pop3://b@localhost:{server.port}", "--allow-cleartext-auth", "--keep", "until-stored"),
            *("--maildir", tmp_path / "Mail", *words),
            home=tmp_path,
            environment=PASSWORD,
        )

    assert ended.status == status
    assert ("2 stored, 2 deleted" in ended.out) == (status == 0)
    assert ended.err.endswith("as some servers send with an answer (fetch --quirk blank-lines)\n" if status else "")


async def test_one_thing_at_a_time_can_be_asked_for(tmp_path: Path) -> None:
    async with MailServer([USER], quirk=QUIRKS["o2"]) as server:
        fill(server, *map(str, range(20)))
        fast = await fetch(server, tmp_path, "--maildir", tmp_path / "Mail", "--transcript")
        slow = await fetch(server, tmp_path, "--maildir", tmp_path / "other", "--transcript", "--no-pipelining")

    assert "20 stored" in fast.out
    assert "20 stored" in slow.out
    # To a connection that is lost, another one follows.
    assert fast.err.count("C: STAT") == 2
    assert slow.err.count("C: STAT") == 1
