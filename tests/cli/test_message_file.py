"""A message of which only the header is read before it is sent."""

import io
import os

import pytest

from mailwire.cli.message_file import MessageFile
from mailwire.errors import InvalidMessage

HEADER = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n"
BODY = b"\r\nBcc: this is the body\r\n" + b"0123456789" * 100


@pytest.mark.parametrize(
    "hidden",
    [
        b"Bcc: c@example.org\r\n",
        b"BCC : c@example.org,\r\n d@example.org,\r\n\te@example.org\r\n",
        b"Resent-Bcc: c@example.org\n",
        b"bcc:\r\nBcc: c@example.org\r\n",
    ],
)
def test_blind_copies_are_left_out_and_nothing_else(hidden: bytes) -> None:
    for before, behind in ((b"", HEADER), (HEADER, b""), (HEADER, b"X-Bcc: stays\r\n"), (HEADER, b"Bccs: stays\r\n")):
        message = MessageFile(io.BytesIO(before + hidden + behind + BODY))

        assert message.read() + message.read() == before + behind + BODY
        assert "bcc" in {name.lower().removeprefix("resent-") for name in message.header}


@pytest.mark.parametrize(
    "text", [HEADER + BODY, HEADER + BODY.replace(b"\r\n", b"\n"), HEADER, b"", b"\r\n", b"x\r\n\r\ny"]
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_octets_are_those_of_the_file(text: bytes, size: int) -> None:
    message = MessageFile(io.BytesIO(text))
    assert b"".join(iter(lambda: message.read(size), b"")) == text
    assert message.tell() == len(text)


def test_it_can_be_read_again_from_anywhere() -> None:
    whole = HEADER + BODY
    file = io.BytesIO(b"before" + b"Bcc: c@d.org\r\n" + whole)
    file.seek(6)
    message = MessageFile(file)

    assert message.seekable()
    for offset in (0, 5, len(HEADER), len(HEADER) + 10, len(whole), 0):
        assert message.seek(offset) == offset
        assert message.tell() == offset
        assert b"".join(iter(lambda: message.read(64), b"")) == whole[offset:]


@pytest.mark.parametrize("line_end", [b"\r", b"\n", b"\r\n"])
def test_blind_copies_are_left_out_whatever_ends_the_lines(line_end: bytes) -> None:
    lines = [*HEADER.split(b"\r\n")[:-1], b"Bcc : c@example.org,", b" d@example.org", b"X-Last: x"]
    body = [b"", b"Bcc: this is the body", b""]
    message = MessageFile(io.BytesIO(line_end.join(lines + body)))

    assert message.read() + message.read() == line_end.join([*lines[:3], *lines[5:], *body])
    assert message.header.keys() == ["From", "To", "Subject", "Bcc", "X-Last"]
    assert not message.header.get_payload()


def test_blind_copies_are_left_out_where_line_ends_are_mixed() -> None:
    message = MessageFile(
        io.BytesIO(b"To: a@example.org\rBcc: b@example.org\nCc: c@example.org\rBcc:\r d@e.org\r\n\r\nx")
    )
    assert message.read() + message.read() == b"To: a@example.org\rCc: c@example.org\r\r\nx"


def test_the_postmark_of_an_mbox_is_left_out() -> None:
    message = MessageFile(io.BytesIO(b"From a@example.org Mon Jan  1 00:00:00 2024\n" + HEADER + BODY))
    assert message.read() + message.read() == HEADER + BODY
    assert message.header["Subject"] == "x"


def test_a_pipe_is_read_once() -> None:
    reading, writing = os.pipe()
    os.write(writing, HEADER + BODY)
    os.close(writing)
    with open(reading, "rb") as file:
        message = MessageFile(file)
        assert not message.seekable()
        assert b"".join(iter(lambda: message.read(64), b"")) == HEADER + BODY


class _Endless(io.BytesIO):
    octets = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self.octets += 1000
        return b"x: " + b"y" * 995 + b"\r\n"


def test_what_is_all_header_is_no_message() -> None:
    endless = _Endless()
    with pytest.raises(InvalidMessage, match="its header has no end within 4194304 octets"):
        MessageFile(endless)
    assert endless.octets < 5 * 1024 * 1024


def test_a_line_without_an_end_is_no_message() -> None:
    file = io.BytesIO(b"x" * 6_000_000)
    with pytest.raises(InvalidMessage, match="its header has no end"):
        MessageFile(file)
