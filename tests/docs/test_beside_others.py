"""What the README's table says of smtplib, poplib and aiosmtplib, where that can be tried in a moment."""

import importlib
import poplib
import smtplib
from email.message import EmailMessage
from typing import Any

import pytest

import mailwire
from mailwire.testing import Account, InThread, MailServer, Policy, server_context
from tests.docs.blocks import ROOT
from tests.integration.conftest import demand_libraries

ACCOUNTS = [Account("b", "secret", ("b@example.org",))]
CLEAR = Policy(extensions=["SIZE"])


def row(head: str) -> list[str]:
    """Return the cells of a row of the table: mailwire's, aiosmtplib's, and those of smtplib and poplib."""
    (line,) = (line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith(f"| {head} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:4]


def message() -> EmailMessage:
    return mailwire.compose(sender="a@example.org", to="b@example.org", subject="x", text="hello")


def aiosmtplib() -> Any:
    demand_libraries("aiosmtplib")
    return importlib.import_module("aiosmtplib")


def test_the_standard_library_verifies_no_certificate_by_default() -> None:
    assert row("certificates verified by default")[2] == "no"
    with InThread(MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True)) as server:
        with smtplib.SMTP_SSL("localhost", server.smtp_port) as smtp:
            assert smtp.noop()[0] == 250
        pop = poplib.POP3_SSL("localhost", server.pop3_port)
        assert pop.quit().startswith(b"+OK")


async def test_the_others_verify_it() -> None:
    assert row("certificates verified by default")[:2] == ["yes", "yes"]
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True) as server:
        with pytest.raises(mailwire.TLSFailed):
            await mailwire.send(message(), f"smtps://localhost:{server.smtp_port}")
        library = aiosmtplib()
        with pytest.raises(library.SMTPException, match="certificate verify failed"):
            await library.send(message(), hostname="localhost", port=server.smtp_port, use_tls=True)


async def test_what_becomes_of_a_server_without_starttls() -> None:
    assert row("a server without STARTTLS") == [
        "is an error",
        "is used in the clear, unless `start_tls=True`",
        "is an error of `starttls()`",
    ]
    async with MailServer(ACCOUNTS, policy=CLEAR) as server:
        with pytest.raises(mailwire.SecurityError):
            await mailwire.send(message(), f"smtp+starttls://localhost:{server.smtp_port}")
        library = aiosmtplib()
        with pytest.raises(library.SMTPException):
            await library.send(message(), hostname="localhost", port=server.smtp_port, start_tls=True)
        assert server.messages("b") == ()
        await library.send(message(), hostname="localhost", port=server.smtp_port)
        assert len(server.messages("b")) == 1
    with (
        InThread(MailServer(ACCOUNTS, policy=CLEAR)) as server,
        smtplib.SMTP("localhost", server.smtp_port) as smtp,
        pytest.raises(smtplib.SMTPNotSupportedError),
    ):
        smtp.starttls()
