import pytest

from mailwire.testing.mail_data import Content, MailData
from mailwire.testing.maildrop import Envelope

ENVELOPE = Envelope("a@example.org", ("b@example.org",))


def receive(wire: bytes, *, size_limit: int = 1000, cut: int | None = None) -> MailData:
    message = MailData(ENVELOPE, size_limit)
    for piece in (wire,) if cut is None else (wire[:cut], wire[cut:]):
        if not message.finished:
            message.feed(piece, 0)
    assert message.finished
    return message


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"hello\r\n.\r\n", b"hello\r\n"),
        (b"..\r\n...two\r\n.\r\n", b".\r\n..two\r\n"),
        (b"\xe9\xff\r\n.\r\n", b"\xe9\xff\r\n"),
    ],
)
def test_the_message_is_what_stands_before_the_dot(wire: bytes, content: bytes) -> None:
    for cut in range(len(wire)):
        message = receive(wire, cut=cut)
        assert message.refusal is None
        assert message.content() == content
        assert message.envelope == ENVELOPE


def test_the_message_ends_behind_the_dot_and_no_further() -> None:
    message = MailData(ENVELOPE, 1000)

    assert message.feed(b"DATA\r\nhello\r\n.\r\nQUIT\r\n", 6) == 16
    assert message.content() == b"hello\r\n"


def test_it_has_begun_with_its_first_octet() -> None:
    message = MailData(ENVELOPE, 1000)

    assert message.has_begun is False
    message.feed(b"h", 0)
    assert message.has_begun


def test_a_message_may_have_as_many_octets_as_the_limit() -> None:
    assert receive(b"12345678\r\n.\r\n", size_limit=10).content() == b"12345678\r\n"


@pytest.mark.parametrize("wire", [b"123456789\r\n.\r\n", b"1\n3456789\r\nab\r\n.\r\n"])
def test_a_message_over_the_limit_is_refused_at_its_end(wire: bytes) -> None:
    for cut in range(len(wire)):
        assert receive(wire, size_limit=10, cut=cut).refusal == "message too big"


@pytest.mark.parametrize(
    "wire", [b"a\nb\r\n.\r\n", b"a\rb\r\n.\r\n", b"a\0b\r\n.\r\n", b"a\r\r\n.\r\n", b"\n.\n\r\n.\r\n"]
)
def test_a_bare_line_end_or_a_nul_is_refused_however_it_is_cut(wire: bytes) -> None:
    for cut in range(len(wire)):
        assert receive(wire, cut=cut).refusal == "line ends"


def content_of(*blocks: bytes, size_limit: int = 10, is_binary: bool = False) -> Content:
    content = Content(size_limit, is_binary=is_binary)
    for block in blocks:
        content.add(block)
    content.finish()
    return content


def test_a_binary_message_may_hold_anything() -> None:
    content = content_of(b"a\n\0", b"b\r", is_binary=True)
    assert (content.refusal, content.octets()) == (None, b"a\n\0b\r")
    assert content_of(b"a\n\0b\r").refusal == "line ends"


def test_a_message_that_comes_in_blocks_is_judged_at_its_end() -> None:
    content = content_of(b"a\r", b"\nb\r\n")
    assert (content.refusal, content.octets()) == (None, b"a\r\nb\r\n")
    assert content_of(b"ab\r").refusal == "line ends"
    assert content_of(b"ab\r", b"12345678").refusal == "message too big"
    assert content_of(b"12345678901", is_binary=True).refusal == "message too big"
