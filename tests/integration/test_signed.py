"""What was signed arrives as it was signed: S/MIME, as OpenSSL signs and verifies it, there and back."""

import asyncio
import email
import email.policy
import shutil
import subprocess
from pathlib import Path

import pytest

import mailwire
from mailwire.testing import Account, MailServer, authority_file, client_context, server_context
from tests.integration.conftest import demand

# What a signature is easily broken by: blanks at the ends of lines, dots, From, a long line, a MIME tree. One that
# does not end in a line end is for octets alone: the standard library's parser adds one.
CONTENT = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"trailing \t \r\n.\r\n..\r\nFrom me\r\n" + b"x" * 900 + b"\r\n--b\r\n\r\nno header\r\n--b--"
)
HEADER = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: signed\r\n"


@pytest.fixture
def signed(tmp_path: Path, parsed: bool) -> bytes:
    demand(None if shutil.which("openssl") else "openssl is not installed (Debian package openssl)")
    keys = authority_file().parent
    (tmp_path / "content").write_bytes(CONTENT + (b"\r\n" if parsed else b""))
    sign = f"openssl smime -sign -binary -signer {keys}/alice.pem -inkey {keys}/alice-key.pem"
    files = ["-in", str(tmp_path / "content"), "-out", str(tmp_path / "signed")]
    subprocess.run([*sign.split(), *files], check=True, capture_output=True)
    # OpenSSL writes its own header with bare line feeds.
    text = (tmp_path / "signed").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return HEADER + text


def is_as_it_was_signed(message: bytes, tmp_path: Path) -> bool:
    (tmp_path / "received").write_bytes(message)
    files = ["-in", str(tmp_path / "received"), "-out", str(tmp_path / "verified")]
    verify = ["openssl", "smime", "-verify", "-noverify", *files]
    return subprocess.run(verify, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("chunking", [True, False], ids=["BDAT", "DATA"])
@pytest.mark.parametrize("parsed", [False, True], ids=["octets", "EmailMessage"])
async def test_a_signature_holds_there_and_back(signed: bytes, parsed: bool, chunking: bool, tmp_path: Path) -> None:
    assert is_as_it_was_signed(signed, tmp_path)
    assert not is_as_it_was_signed(signed.replace(b"trailing \t ", b"trailing"), tmp_path)
    account = Account("b", "secret", ("b@example.org",))
    async with MailServer([account], tls_context=server_context(), implicit_tls=True) as server:
        submission = mailwire.Endpoint(
            "localhost", server.smtp_port, tls_context=client_context(), use_chunking=chunking
        )
        if parsed:
            message = email.message_from_bytes(signed, policy=email.policy.SMTP)
            await mailwire.send(message, submission)
        else:
            await mailwire.send(signed, submission, sender="a@example.org", recipients="b@example.org")
        maildrop = mailwire.Endpoint.parse(
            f"pop3s://b:secret@localhost:{server.pop3_port}", tls_context=client_context()
        )
        (received,) = await mailwire.retrieve(maildrop)
        report = await mailwire.retrieve(maildrop, into=mailwire.Maildir(tmp_path / "Mail"))
        assert report.is_complete
    (stored,) = (tmp_path / "Mail" / "new").iterdir()
    assert received.raw == stored.read_bytes()
    assert parsed or received.raw.rstrip() == signed.rstrip()
    assert await asyncio.to_thread(is_as_it_was_signed, received.raw, tmp_path)
