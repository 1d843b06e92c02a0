import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mailwire as library
from mailwire import SecurityError
from mailwire.cli.fetch import make_parser
from mailwire.cli.wording import in_our_words
from mailwire.testing import Account, MailServer
from tests.cli.program import mailwire

SOURCE = Path(library.__file__).parent
# An argument of Python's, as an error would advise it.
ARGUMENT = re.compile(r'\b[a-z_]{3,}=(?:True|False|None|"[a-z]+")')


def texts() -> Iterator[str]:
    """What the library's code says in literals, docstrings aside."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] in ("testing", "cli"):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
                yield node.value


def test_whatever_the_library_advises_is_said_in_words_of_the_command_line() -> None:
    advice = sorted({text for text in texts() if ARGUMENT.search(text)})
    advised = {argument for text in advice for argument in ARGUMENT.findall(text)}
    assert {"allow_cleartext_auth=True", 'tls="starttls"', 'tls="implicit"', 'tls="none"'} <= advised
    assert not [text for text in advice if ARGUMENT.search(in_our_words(text))]


def test_every_quirk_that_the_library_names_is_an_option_by_which_it_is_forgiven() -> None:
    named = sorted({text for text in texts() if "(Quirks." in text})
    assert named
    for text in named:
        told = in_our_words(text)
        assert "Quirks" not in told
        found = re.search(r"\(fetch (--quirk) ([a-z-]+)\)", told)
        assert found is not None
        assert make_parser().parse_args(["x", *found.groups()]).quirk == [found[2]]


def test_what_advises_nothing_stays_as_it_is() -> None:
    assert in_our_words(SecurityError("expected 250, got b'x=True'")) == "expected 250, got b'x=True'"


@pytest.mark.parametrize("command", ["send", "fetch", "check"])
async def test_the_option_that_is_missing_is_named_as_it_is_given(command: str, tmp_path: Path) -> None:
    async with MailServer([Account("bob@example.org", "secret")]) as server:
        protocol, port = ("pop3", server.pop3_port) if command == "fetch" else ("smtp", server.smtp_port)
        words: list[object] = [command, f"{protocol}://bob@localhost:{port}"]
        if command == "send":
            words += ["--from", "a@example.org", "--to", "b@example.org"]
        elif command == "fetch":
            words += ["--maildir", tmp_path / "mail", "--ledger", tmp_path / "ledger"]
        environment = {"MAILWIRE_PASSWORD": "secret"}
        ended = await mailwire(*words, stdin=b"Subject: x\r\n\r\nhello\r\n", environment=environment, home=tmp_path)
    assert ended.status == 77
    assert "give --allow-cleartext-auth if the link is safe all the same" in ended.err
    assert "allow_cleartext_auth" not in ended.err + ended.out
