import re

import pytest

from mailwire import InvalidMessage, NotSupported
from mailwire._wire.dots import MailText
from mailwire.message import MessagePolicy
from mailwire.message.mending import EVERYTHING, Mending, Permission, mend, mend_text
from mailwire.message.survey import Survey

PLAIN = b"Subject: x\r\n\r\nhello\r\n"


@pytest.mark.parametrize(
    ("text", "permission", "extension", "reason"),
    [
        (
            "Subject: ä\r\n\r\nhello\r\n",
            EVERYTHING._replace(utf8=False),
            "SMTPUTF8",
            "the message has characters beyond ASCII in its header, and the server does not offer SMTPUTF8 (RFC 6531), "
            "or was not told to expect them",
        ),
        (
            "Subject: x\r\n\r\nä\r\n",
            EVERYTHING._replace(eight_bit=False),
            "8BITMIME",
            "the message has octets beyond ASCII, and the server does not offer 8BITMIME (RFC 6152), or was not told "
            "to expect them",
        ),
        (
            "Subject: x\r\n\r\nhello\r\n",
            EVERYTHING._replace(octets=20),
            "SIZE",
            "the message has 21 octets, and the server takes 20 (RFC 1870)",
        ),
    ],
)
def test_what_goes_beyond_the_permission_is_refused_and_told(
    text: str, permission: Permission, extension: str, reason: str
) -> None:
    survey = Survey.whole(text.encode())
    EVERYTHING.check(survey)
    with pytest.raises(NotSupported, match=f"^{re.escape(reason)}$") as caught:
        permission.check(survey)
    assert caught.value.extension == extension


def test_as_many_octets_as_may_leave_leave() -> None:
    mending = Mending(MessagePolicy(), EVERYTHING._replace(octets=len(PLAIN)))
    assert mending.feed(PLAIN) + mending.finish() == PLAIN


def test_what_is_binary_is_not_vouched_for() -> None:
    # Who stuffs dots mends it then, and does not let a bare LF by.
    assert type(Mending(MessagePolicy(binary=True)).feed(b"a\nb")) is bytes


def test_a_line_that_is_too_long_is_refused_before_it_leaves() -> None:
    mending = Mending(MessagePolicy())
    mending.feed(PLAIN)
    with pytest.raises(InvalidMessage, match="a line of more than 998 octets, which begins at octet 21 "):
        mending.feed(b"a" * 1001)


def test_an_empty_piece_is_no_empty_message() -> None:
    mending = Mending(MessagePolicy())
    assert [mending.feed(b""), mending.feed(PLAIN), mending.finish()] == [b"", PLAIN, b""]
    with pytest.raises(InvalidMessage, match="the message is empty: it has not even a header"):
        Mending(MessagePolicy()).finish()


WHOLE_TEXTS = [
    *(PLAIN, PLAIN[:-2], PLAIN[:-1], b"\r\n", b"a\nb", b"a\rb\r\n", b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n"),
    *(b"", b"a\0b", b"x" * 999 + b"\r\n", b"a\r\n" + b"x" * 2000, "\u00e4\r\n".encode()),
]


@pytest.mark.parametrize(
    "policy", [MessagePolicy(), MessagePolicy(line_ends="reject"), MessagePolicy(long_lines="allow")]
)
@pytest.mark.parametrize("octets", WHOLE_TEXTS)
def test_a_whole_text_is_mended_alike_whether_it_is_asked_what_is_known_of_it(
    octets: bytes, policy: MessagePolicy
) -> None:
    try:
        text, survey = mend(octets, policy)
    except InvalidMessage as error:
        with pytest.raises(InvalidMessage, match=f"^{re.escape(str(error))}$"):
            mend_text(octets, policy)
    else:
        assert mend_text(octets, policy) == text
        assert type(text) is type(mend_text(octets, policy)) is MailText
        assert survey.octets == len(text)
