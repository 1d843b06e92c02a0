"""Where passwords come from, and where not without a warning."""

import argparse
import asyncio
import os
import pty
import ssl
import stat
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from mailwire import Endpoint, OAuthToken, Password
from mailwire.cli import servers
from mailwire.cli.command_parser import CommandParser
from mailwire.cli.servers import UsageError, add_server_options, endpoint_of
from mailwire.testing import authority_file
from tests.cli.program import SCRIPT, mailwire
from tests.sasl.secrecy import CANARY, assert_hidden

URL = "pop3s://b@pop.example.org"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is, and no password in the environment, and nobody at the terminal."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MAILWIRE_PASSWORD", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return tmp_path


def options(*words: str) -> argparse.Namespace:
    parser = CommandParser("x")
    add_server_options(parser)
    return parser.parse_args(words)


def auth(*words: str, **rest: Any) -> Any:
    return endpoint_of(options(*words), **rest).auth


def write_netrc(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_password_in_the_url_is_used_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert auth("pop3s://b:secret@pop.example.org") == Password("b", "secret")

    out, err = capsys.readouterr()
    assert out == ""
    assert "everybody on this machine can read the password" in err
    assert "secret" not in err


def test_a_variable_has_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POP", "one")
    monkeypatch.setenv("MAILWIRE_PASSWORD", "two")

    assert auth(URL, "--password-env", "POP") == Password("b", "one")
    assert auth(URL) == Password("b", "two")
    monkeypatch.setenv("EMPTY", "")
    for name in ("NONE", "EMPTY"):
        with pytest.raises(UsageError, match=f"variable {name}"):
            auth(URL, "--password-env", name)


def test_an_empty_variable_has_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILWIRE_PASSWORD", "")
    with pytest.raises(UsageError, match="there is no password for b at pop"):
        auth(URL)
    write_netrc(home / ".netrc", "machine")
    with pytest.raises(UsageError, match=r"cannot be read: .* \(~/\.netrc\)$"):
        auth(URL)
    (home / ".netrc").unlink()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert auth(URL, ask=lambda _: "typed") == Password("b", "typed")


@pytest.mark.parametrize("entry", ["login b", "login b password", "password secret", "account b"])
def test_an_entry_without_a_login_or_a_password_is_none(
    entry: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_netrc(home / ".netrc", f"machine pop.example.org {entry}\n")
    assert auth("pop3s://pop.example.org") is None
    with pytest.raises(UsageError, match="there is no password for b at pop"):
        auth(URL)
    with pytest.raises(UsageError, match=rf"^there is no password for b at pop\.example\.org in {file}$"):
        auth(URL, "--netrc", file)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert auth(URL, ask=lambda _: "typed") == Password("b", "typed")
    monkeypatch.setenv("MAILWIRE_PASSWORD", "by the environment")
    assert auth(URL) == Password("b", "by the environment")
    write_netrc(home / ".netrc", f"machine pop.example.org login b password one\nmachine pop.example.org {entry}\n")
    assert auth(URL) == auth("pop3s://pop.example.org") == Password("b", "one")


def test_a_command_has_the_password() -> None:
    assert auth(URL, "--password-command", "printf 'sec ret\\r\\nuser: b\\n'") == Password("b", "sec ret")
    assert auth(URL, "--password-command", "printf 'p\\303\\244ss\\nnote: \\344\\n'") == Password("b", "päss")
    with pytest.raises(UsageError, match="failed with status 1: false"):
        auth(URL, "--password-command", "false")
    for command in ("true", "printf '\\n secret'", "printf '\\377'"):
        with pytest.raises(UsageError, match=f"expected a first line in utf-8 .*: {command.split()[0]}"):
            auth(URL, "--password-command", command)
    with pytest.raises(UsageError, match="expected a command"):
        auth(URL, "--password-command", "")
    with pytest.raises(FileNotFoundError):
        auth(URL, "--password-command", "/no/such/command")
    for option in ("--password-command", "--token-command"):
        with pytest.raises(UsageError, match="expected a user in the URL"):
            auth("pop3s://pop.example.org", option, "echo x")


def test_a_command_has_the_token_whenever_one_is_due(home: Path) -> None:
    count = home / "count"
    given = auth(URL, "--token-command", f"sh -c 'echo x >> {count}; grep -c x {count}'")

    assert given.user == "b"
    assert [asyncio.run(given.token(None)) for _ in range(2)] == ["1", "2"]


async def test_a_command_that_is_not_waited_for_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    start = asyncio.create_subprocess_exec
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def note(*words: str, **settings: Any) -> asyncio.subprocess.Process:
        process = await start(*words, **settings)
        started.set_result(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    asking = asyncio.create_task(auth(URL, "--token-command", "sleep 1000").token(None))
    number = await started
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_file_has_the_passwords(home: Path) -> None:
    text = (
        "machine pop.example.org login b password one\nmachine smtp.example.org login c password two\ndefault login d\n"
    )
    file = write_netrc(home / "passwords", text)

    assert auth(URL, "--netrc", file) == Password("b", "one")
    assert auth("pop3s://pop.example.org", "--netrc", file) == Password("b", "one")
    assert auth("pop3s://other.example.org", "--netrc", file) is None
    write_netrc(home / ".netrc", text)
    assert auth("smtps://c@smtp.example.org") == Password("c", "two")
    with pytest.raises(UsageError, match="no password for e at pop"):
        auth("pop3s://e@pop.example.org")


def test_of_several_logins_at_a_host_the_one_of_the_url_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILWIRE_PASSWORD", "of another")
    text = "".join(f"machine {host} login {user} password {user}-{host[:3]}\n" for host in HOSTS for user in "abc")
    file = write_netrc(home / "passwords", f"{text}machine other login d password d\n")
    write_netrc(home / ".netrc", text)

    for words in (("--netrc", file), ()):
        for user in "abc":
            assert auth(f"pop3s://{user}@pop.example.org", *words) == Password(user, f"{user}-POP")
            assert auth(f"pop3s://{user}@imap.example.org", *words) == Password(user, f"{user}-ima")
        with pytest.raises(UsageError, match=r"expected a user in the URL: .*(passwords|~/\.netrc) has 3 at pop\."):
            auth("pop3s://pop.example.org", *words)
    assert auth("pop3s://other", "--netrc", file) == Password("d", "d")


HOSTS = ("pop.example.org", "POP.example.org", "imap.example.org")


def test_of_a_login_that_is_there_twice_the_last_counts(home: Path) -> None:
    entries = ("machine x login b password one", "machine y login b password y", "machine X login b password two")
    file = write_netrc(home / "passwords", "\n".join(entries))
    assert auth("pop3s://b@x", "--netrc", file) == auth("pop3s://x", "--netrc", file) == Password("b", "two")


@pytest.mark.parametrize("is_at_terminal", [False, True])
def test_a_file_that_was_named_is_passed_over_for_no_other_place(
    is_at_terminal: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_at_terminal, raising=False)
    file = write_netrc(home / "passwords", "machine pop.example.org login a password one\n")
    write_netrc(home / ".netrc", "machine pop.example.org login b password two\n")
    monkeypatch.setenv("MAILWIRE_PASSWORD", "three")
    for url in (URL, "pop3s://a@other.example.org"):
        with pytest.raises(UsageError, match=rf"^there is no password for [ab] at \w+\.example\.org in {file}$"):
            auth(url, "--netrc", file, ask=lambda _: "four")


def test_of_several_places_for_a_password_the_first_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POP", "by --password-env")
    monkeypatch.setenv("MAILWIRE_PASSWORD", "by the environment")
    other = write_netrc(home / "passwords", "machine pop.example.org login b password one\n")
    entry = "machine pop.example.org login b password two\n"
    places = ["--password-command", "echo by --password-command", "--password-env", "POP", "--netrc", other]

    write_netrc(home / ".netrc", entry)
    assert isinstance(auth(URL, "--token-command", "echo x", *places), OAuthToken)
    assert auth("pop3s://b:url@pop.example.org", *places) == Password("b", "url")
    assert auth(URL, *places) == Password("b", "by --password-command")
    assert auth(URL, *places[2:]) == Password("b", "by --password-env")
    assert auth(URL, *places[4:]) == Password("b", "one")
    assert auth(URL) == Password("b", "two")
    (home / ".netrc").unlink()
    assert auth(URL) == Password("b", "by the environment")


def test_a_password_in_the_url_and_a_token_are_one_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    told = r"^expected a password in the URL or --token-command, not both$"
    with pytest.raises(UsageError, match=told):
        auth("pop3s://b:url@pop.example.org", "--token-command", "echo x")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("url", ["pop3s://b@LocalHost", "pop3s://b@localhost", "pop3s://LOCALHOST"])
@pytest.mark.parametrize("name", ["LOCALHOST", "localhost", "LocalHost"])
def test_a_host_is_the_same_in_any_case(home: Path, url: str, name: str) -> None:
    write_netrc(home / ".netrc", f"machine other login b password two\nmachine {name} login b password one\n")
    assert auth(url) == Password("b", "one")
    write_netrc(home / ".netrc", "machine fe80::1%En0 login b password one\n")
    assert auth("pop3s://b@[fe80::1%25En0]") == Password("b", "one")


@pytest.mark.parametrize("what", ["bad", "in another encoding", "a directory"])
def test_a_file_in_the_home_that_cannot_be_read_is_passed_over_where_the_environment_has_the_password(
    home: Path, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / ".netrc"
    if what == "a directory":
        file.mkdir()
    else:
        file.write_bytes(b"machine" if what == "bad" else "machine ä".encode("latin-1"))
    with pytest.raises((UsageError, OSError)):
        auth(URL)
    monkeypatch.setenv("MAILWIRE_PASSWORD", "secret")
    assert capsys.readouterr().err == ""
    assert auth(URL) == Password("b", "secret")
    err = capsys.readouterr().err
    assert err.startswith("mailwire: warning: ")
    assert err.endswith("; the password is that in MAILWIRE_PASSWORD\n")
    # Nor is it for who is not named, nor in place of a file that was.
    for words in (("pop3s://pop.example.org",), (URL, "--netrc", str(file))):
        with pytest.raises((UsageError, OSError)):
            auth(*words)
    assert capsys.readouterr().err == ""


def test_a_file_that_is_none_is_told(home: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        auth(URL, "--netrc", write_netrc(home / "bad", "machine"))
    with pytest.raises(FileNotFoundError):
        auth(URL, "--netrc", str(home / "none"))


@pytest.mark.parametrize("text", [f"password my {CANARY}", f"passwrd {CANARY}", f"\n{CANARY}"])
def test_what_is_not_understood_of_a_file_is_not_shown(text: str, home: Path) -> None:
    # It may be part of a password: one with a blank in it that nobody has quoted.
    file = write_netrc(home / "bad", f"machine pop.example.org login b {text}\n")
    with pytest.raises(UsageError, match=rf"cannot be read: it is not understood near line \d \({file}\)$") as caught:
        auth(URL, "--netrc", file)
    assert_hidden(CANARY, str(caught.value))


def test_a_file_in_another_encoding_is_told(home: Path) -> None:
    file = home / "latin-1"
    file.write_bytes(f"machine pop.example.org login b password ä-{CANARY}\n".encode("latin-1"))
    with pytest.raises(UsageError, match=rf"cannot be read: it is not in utf-8 \({file}\)$") as caught:
        auth(URL, "--netrc", str(file))
    assert_hidden(CANARY, str(caught.value))


def test_a_command_that_is_none_is_told() -> None:
    told = r"^the command for the password or token cannot be read: No closing quotation$"
    with pytest.raises(UsageError, match=told):
        auth(URL, "--password-command", "pass show 'mail")
    with pytest.raises(UsageError, match=told):
        asyncio.run(auth(URL, "--token-command", "pass show 'mail").token(None))


def test_a_command_for_tokens_that_is_not_there_is_told_as_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"^the command for the token cannot be run: .*no-such-program"):
        asyncio.run(auth(URL, "--token-command", "/no-such-program").token(None))


def test_the_file_in_the_home_is_nobody_elses_to_read(home: Path) -> None:
    file = home / ".netrc"
    write_netrc(file, "machine pop.example.org login b password one\n")
    file.chmod(0o644)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    if os.getuid() == file.stat().st_uid:
        with pytest.raises(UsageError, match=r"cannot be read: .*too permissive.* \(~/\.netrc\)$"):
            auth(URL)


def test_whoever_is_at_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "typed"

    assert auth(URL, ask=ask) == Password("b", "typed")
    assert asked == ["Password of b at pop.example.org: "]


def test_whoever_types_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def ask(_: str) -> str:
        raise EOFError

    with pytest.raises(UsageError, match=r"expected the password of b at pop\.example\.org, got none"):
        auth(URL, ask=ask)


def test_a_closed_standard_input_is_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="expected one in"):
        auth(URL)


@pytest.mark.parametrize("error", [PermissionError, RuntimeError])
def test_a_home_that_is_none_or_is_somebody_elses_has_no_passwords(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Path:
        raise error

    monkeypatch.setattr(Path, "home", refuse)
    monkeypatch.setenv("MAILWIRE_PASSWORD", "secret")
    assert auth(URL) == Password("b", "secret")


@pytest.mark.parametrize(("is_at_terminal", "password"), [(False, "secret"), (True, "typed")])
def test_a_command_reads_what_somebody_types_and_no_message_that_waits(
    is_at_terminal: bool, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_at_terminal, raising=False)
    reading, writing = os.pipe()
    os.write(writing, b"typed\n")
    os.close(writing)
    before = os.dup(0)
    os.dup2(reading, 0)
    try:
        assert auth(URL, "--password-command", "sh -c 'cat; echo secret'") == Password("b", password)
        assert os.read(0, 100) == (b"" if is_at_terminal else b"typed\n")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)


def test_nobody_to_ask_is_told_what_was_expected() -> None:
    with pytest.raises(UsageError, match=r"expected one in ~/.netrc or MAILWIRE_PASSWORD"):
        auth(URL)


def test_no_user_is_no_login() -> None:
    assert auth("smtps://smtp.example.org") is None


def test_another_protocol_is_told_before_anybody_is_asked_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def ask(_: str) -> str:
        raise AssertionError("nobody is to be asked")

    with pytest.raises(UsageError, match=r"^expected the URL of a server for POP3, got smtps://x:465$"):
        auth("smtps://b@x", protocols=("pop3",), needs_user=True, ask=ask)
    with pytest.raises(
        UsageError, match=r"^expected the URL of a server for SMTP or LMTP, got pop3s://x:995$"
    ) as caught:
        auth(f"pop3s://b:{CANARY}@x", protocols=("smtp", "lmtp"), ask=ask)
    assert_hidden(CANARY, str(caught.value))


def test_a_user_who_is_needed_may_be_in_a_file(home: Path) -> None:
    file = write_netrc(home / "passwords", "machine x login b password one\nmachine y password two\n")
    assert auth("pop3s://x", "--netrc", file, needs_user=True) == Password("b", "one")
    for url in ("pop3s://y", "pop3s://z"):
        with pytest.raises(UsageError, match=r"^expected a user in the URL, such as pop3s://me@pop\.example\.org$"):
            auth(url, "--netrc", file, needs_user=True)


def test_settings_go_into_the_endpoint(home: Path) -> None:
    file = str(home / "x.pem")
    words = options("smtps://smtp.example.org", "--ca-file", file, "--allow-cleartext-auth")
    with pytest.raises(FileNotFoundError, match=r"x\.pem"):
        endpoint_of(words)
    (home / "x.pem").touch()
    endpoint = endpoint_of(words)
    assert (endpoint.tls_ca_file, endpoint.allow_cleartext_auth) == (file, True)


@pytest.mark.parametrize("text", [authority_file().read_bytes(), "Für uns\n".encode() + authority_file().read_bytes()])
def test_the_authorities_may_come_by_a_pipe(text: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    try:
        endpoint = endpoint_of(options("smtps://smtp.example.org", "--ca-file", f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
    for _ in range(2):
        context = endpoint.make_tls_context()
        assert context.get_ca_certs() == Endpoint("x", tls_ca_file=authority_file()).make_tls_context().get_ca_certs()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


BAD: Final = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("text", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n", BAD])
def test_a_pipe_without_authorities_is_told(text: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    try:
        with pytest.raises(UsageError, match=rf"^expected certificates in PEM from /dev/fd/{reading}$"):
            endpoint_of(options("smtps://smtp.example.org", "--ca-file", f"/dev/fd/{reading}"))
    finally:
        os.close(reading)


async def test_a_missing_password_ends_the_program_with_the_status_for_that() -> None:
    ended = await mailwire("check", URL)

    assert ended.status == 64
    assert "there is no password for b at pop.example.org" in ended.err


def test_a_password_is_typed_unseen() -> None:
    # On a terminal of its own, as a user has one. The port is one on which nobody listens.
    child, terminal = pty.fork()
    if child == 0:
        os.environ["HOME"] = "/nonexistent"
        os.execv(SCRIPT, [str(SCRIPT), "check", "pop3s://b@127.0.0.1:1"])
    said = b""
    while b"Password of b at 127.0.0.1: " not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"hush\n")
    try:
        while piece := os.read(terminal, 1024):
            said += piece
    except OSError:  # how Linux tells that the other end is closed
        pass
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 75
    assert b"hush" not in said
    assert b"no connection" in said
    assert servers.__all__
