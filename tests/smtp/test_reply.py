import json
import pickle
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.errors import LimitExceeded, RemoteProtocolError
from mailwire.smtp import EnhancedCode, Reply
from mailwire.smtp.reply import LINE_LIMIT, REPLY_LIMIT, REPLY_LINE_LIMIT, ReplyReader


def read(*pieces: bytes) -> list[Reply]:
    reader = ReplyReader()
    replies = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    assert not reader
    return replies


def feed_all(reader: ReplyReader, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        reader.feed(piece)
        assert reader.next_reply() is None


def octets(text: bytes) -> list[bytes]:
    return [text[place : place + 1] for place in range(len(text))]


GOOD = [
    (b"250 ok\r\n", Reply(250, (b"ok",))),
    (b"250\r\n", Reply(250, (b"",))),
    (b"250 \r\n", Reply(250, (b"",))),
    (b"250  \r\n", Reply(250, (b" ",))),
    (b"250 ok\n", Reply(250, (b"ok",))),
    (b"250\n", Reply(250, (b"",))),
    (b"250-a\r\n250 b\r\n", Reply(250, (b"a", b"b"))),
    (b"250-a\n250 b\n", Reply(250, (b"a", b"b"))),
    (b"250-a\r\n250 b\n", Reply(250, (b"a", b"b"))),
    (b"250-\r\n250-\r\n250\r\n", Reply(250, (b"", b"", b""))),
    (b"250-a\r\n250\r\n", Reply(250, (b"a", b""))),
    (b"250--a\r\n250 -b\r\n", Reply(250, (b"-a", b"-b"))),
    (b"250 250-a\r\n", Reply(250, (b"250-a",))),
    (b"200 a\r\n", Reply(200, (b"a",))),
    (b"599 a\r\n", Reply(599, (b"a",))),
    (b"421 4.3.2 shutting down\r\n", Reply(421, (b"4.3.2 shutting down",))),
    (b"250 a\rb\r\n", Reply(250, (b"a\rb",))),
    (b"250 a\r\r\n", Reply(250, (b"a\r",))),
    (b"250 caf\xe9 \xff\r\n", Reply(250, (b"caf\xe9 \xff",))),
    (b"250 \x1b[31m\x07\x7f\t\r\n", Reply(250, (b"\x1b[31m\x07\x7f\t",))),
]


def test_what_is_said_again_and_again_is_read_the_same_each_time() -> None:
    wire = [b"250 ok\r\n", b"250-ok\r\n250 ok\r\n", b"354 go\r\n", b"250 ok\n", b"250-ok\r\n354 go\r\n"]
    expected = [Reply(250, (b"ok",)), Reply(250, (b"ok", b"ok")), Reply(354, (b"go",)), Reply(250, (b"ok",))]
    many = [b"250 queued as %d\r\n" % number for number in range(100)]
    queued = [Reply(250, (b"queued as %d" % number,)) for number in range(100)]
    assert read(*(wire[:4] + many) * 3) == (expected + queued) * 3
    with pytest.raises(RemoteProtocolError, match="all lines of a reply have the same code"):
        read(*wire)


@pytest.mark.parametrize("code", [200, 599])
def test_a_reply_that_was_written_as_json_is_read_back(code: int) -> None:
    whole = Reply(code, (b"5.1.1 no\xff", b""))
    assert Reply.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"lines": []}, "expected a code from 200 to 599 and a line at least, got 550 and 0 lines"),
        ({"code": 199}, "expected a code from 200 to 599 and a line at least, got 199 and 1 lines"),
        ({"code": 600}, "expected a code from 200 to 599 and a line at least, got 600 and 1 lines"),
        ({"code": "550"}, "expected the code of a reply to be a whole number, got '550' (str)"),
        ({"lines": "no"}, "expected the lines of a reply to be a list of text, got 'no' (str)"),
        ({"lines": [b"no"]}, "expected a line of a reply to be text, got b'no' (bytes)"),
        ({"lines": ["\u20ac"]}, "'latin-1' codec can't encode character"),
    ],
)
def test_what_is_no_reply_in_json_is_an_error(spoilt: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Reply.from_dict({"code": 550, "lines": ["no"], **spoilt})


@pytest.mark.parametrize(("wire", "reply"), GOOD, ids=repr)
def test_a_reply_is_read_whole_and_octet_by_octet(wire: bytes, reply: Reply) -> None:
    assert read(wire) == read(*octets(wire)) == [reply]
    assert read(wire + wire) == [reply, reply]


BAD = [
    b"\r\n",
    b"\n",
    b" \r\n",
    b" 250 ok\r\n",
    b"\t250 ok\r\n",
    b"2\r\n",
    b"25\r\n",
    b"25 ok\r\n",
    b"2500\r\n",
    b"2500 ok\r\n",
    b"0250 ok\r\n",
    b"250ok\r\n",
    b"250\tok\r\n",
    b"250_ok\r\n",
    b"250.ok\r\n",
    b"250=ok\r\n",
    b"250\rok\r\n",
    b"2 50 ok\r\n",
    b"+50 ok\r\n",
    b"-250 ok\r\n",
    b"+OK ready\r\n",
    b"2_50 ok\r\n",
    b"2.0 ok\r\n",
    b"0x2 ok\r\n",
    b"1e2 ok\r\n",
    b"000 ok\r\n",
    b"099 ok\r\n",
    b"100 ok\r\n",
    b"199 ok\r\n",
    b"600 ok\r\n",
    b"999 ok\r\n",
    b"abc ok\r\n",
    b"OK\r\n",
    b"HTTP/1.1 400 Bad Request\r\n",
    "٢٥٠ ok\r\n".encode(),
    "\uff12\uff15\uff10 ok\r\n".encode(),
    "²50 ok\r\n".encode(),
    b"\xb2\xb5\xb0 ok\r\n",
    "\ufeff250 ok\r\n".encode(),
    b"\xef\xbb\xbf250 ok\r\n",
    b"250 o\0k\r\n",
    b"250 ok\0\r\n",
    b"250\0ok\r\n",
    b"\0250 ok\r\n",
    b"2\x0050 ok\r\n",
    b"250-a\r\n\r\n",
    b"250-a\r\n550 b\r\n",
    b"250-a\r\n251 b\r\n",
    b"250-a\r\n251-b\r\n",
    b"250-a\r\nb\r\n",
    b"250-a\r\n 250 b\r\n",
    b"250-a\r\n250b\r\n",
    b"250-a\r\n250 b\0\r\n",
    b"\x16\x03\x01\x02\n",
]


@pytest.mark.parametrize("wire", BAD, ids=repr)
def test_what_is_no_reply_is_refused_with_a_quotation(wire: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^expected .*, got b['\"]") as whole:
        read(wire)
    with pytest.raises(RemoteProtocolError) as bytewise:
        read(*octets(wire))
    assert str(whole.value) == str(bytewise.value)
    assert str(whole.value).isprintable()


def test_lines_with_different_codes_are_no_reply() -> None:
    with pytest.raises(RemoteProtocolError, match=r"expected the next line of a reply 250, got b'550 b': all lines"):
        read(b"250-a\r\n550 b\r\n")


def test_of_all_codes_those_from_200_to_599_are_codes() -> None:
    for code in range(1000):
        wire = b"%03d text\r\n" % code
        if 200 <= code <= 599:
            assert read(wire) == [Reply(code, (b"text",))]
        else:
            with pytest.raises(RemoteProtocolError, match=f"got b'{code:03d} text'"):
                read(wire)


def test_of_all_first_octets_those_from_2_to_5_begin_a_reply() -> None:
    for first in range(256):
        wire = bytes([first]) + b"50 ok\r\n"
        if first in b"2345":
            assert read(wire)[0].code == int(wire[:3])
        else:
            with pytest.raises(RemoteProtocolError):
                read(wire)


def test_of_all_octets_behind_the_code_a_space_and_a_hyphen_are_separators() -> None:
    for octet in range(256):
        reader = ReplyReader()
        reader.feed(b"250" + bytes([octet]) + b"text\r\n")
        if octet == 0x20:
            assert reader.next_reply() == Reply(250, (b"text",))
        elif octet == 0x2D:
            assert reader.next_reply() is None
            assert reader
        else:  # a line feed makes two lines, of which the second is none
            with pytest.raises(RemoteProtocolError):
                assert reader.next_reply() != reader.next_reply()


def test_of_all_octets_only_nul_is_no_text() -> None:
    for octet in range(1, 256):
        if octet != 0x0A:
            assert read(b"250 a" + bytes([octet]) + b"b\r\n") == [Reply(250, (b"a" + bytes([octet]) + b"b",))]


# Limits


def test_a_line_of_exactly_the_limit_is_read() -> None:
    assert LINE_LIMIT == 8192
    text = b"a" * (LINE_LIMIT - 4)
    assert read(b"250 " + text + b"\r\n") == [Reply(250, (text,))]


def test_a_line_of_one_octet_more_is_refused() -> None:
    with pytest.raises(LimitExceeded, match=f"a line is longer than {LINE_LIMIT} octets"):
        read(b"250 " + b"a" * (LINE_LIMIT - 3) + b"\r\n")


def test_an_endless_line_is_refused_before_64_kib_are_held() -> None:
    reader = ReplyReader()
    reader.feed(b"250-")
    with pytest.raises(LimitExceeded):
        feed_all(reader, [b"a" * 1000] * 60)


def test_a_reply_of_exactly_the_most_lines_is_read() -> None:
    assert len(read(b"250-x\r\n" * (REPLY_LINE_LIMIT - 1) + b"250 x\r\n")[0].lines) == REPLY_LINE_LIMIT == 512


def test_a_reply_of_one_line_more_is_refused() -> None:
    with pytest.raises(
        LimitExceeded, match=r"a reply 250 is longer than 65536 octets or 512 lines; its last line is b'250 x'"
    ):
        read(b"250-x\r\n" * REPLY_LINE_LIMIT + b"250 x\r\n")


def reply_of(size: int) -> bytes:
    """A reply of `size` octets in eleven lines."""
    first = b"250-" + b"a" * (6000 - 6) + b"\r\n"
    rest = size - 10 * len(first)
    return first * 10 + b"250 " + b"b" * (rest - 6) + b"\r\n"


def test_a_reply_of_exactly_the_most_octets_is_read() -> None:
    wire = reply_of(REPLY_LIMIT)
    assert len(wire) == REPLY_LIMIT == 65536
    assert len(read(wire)) == 1


def test_a_reply_of_one_octet_more_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="a reply 250 is longer than 65536 octets"):
        read(reply_of(REPLY_LIMIT + 1))


def test_the_limits_hold_for_each_reply_and_not_for_all() -> None:
    assert len(read(reply_of(REPLY_LIMIT) * 5)) == 5
    assert len(read((b"250-x\r\n" * 511 + b"250 x\r\n") * 5)) == 5


def test_an_endless_reply_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        feed_all(ReplyReader(), [b"250-x\r\n"] * 10_000)


# What is left


def test_a_reader_is_true_while_something_is_not_handed_out() -> None:
    reader = ReplyReader()
    assert not reader
    for piece in (b"2", b"50-a\r", b"\n", b"250 b\r"):
        reader.feed(piece)
        assert reader.next_reply() is None
        assert reader
    reader.feed(b"\n")
    assert reader
    assert reader.next_reply() == Reply(250, (b"a", b"b"))
    assert not reader


def test_a_reader_tells_whether_a_whole_line_is_waiting() -> None:
    reader = ReplyReader()
    reader.feed(b"250-a\r\n250")
    assert reader.has_line
    assert reader.next_reply() is None
    assert not reader.has_line
    reader.feed(b" b\r\n")
    assert reader.has_line
    assert reader.next_reply()
    assert not reader.has_line


def test_what_was_not_handed_out_can_be_quoted() -> None:
    reader = ReplyReader()
    assert reader.quote_rest() == ""
    reader.feed(b"220 a\r\n250-b\r\n250-c\r\n250 d")
    assert reader.quote_rest() == repr(b"220 a\r\n250-b\r\n250-c\r\n250 d")
    assert reader.next_reply() == Reply(220, (b"a",))
    assert reader.quote_rest() == repr(b"250-b\r\n250-c\r\n250 d")
    assert reader.next_reply() is None
    assert reader.quote_rest() == repr(b"250-b\r\n250-c\r\n") + " b'250 d'"


# What must not be shown


def masking() -> ReplyReader:
    reader = ReplyReader()
    reader.mask_with(lambda data: data.replace(b"canary", b"****"))
    reader.mask_with(lambda data: data.replace(b"sparrow", b"****"))
    return reader


def test_what_was_not_handed_out_is_quoted_without_what_must_not_be_shown() -> None:
    reader = masking()
    reader.feed(b"250-a canary\r\n250-a sparrow\r\n250 a cana")
    assert reader.quote_rest() == repr(b"250-a ****\r\n250-a ****\r\n") + " (10 octets)"
    assert reader.next_reply() is None
    assert reader.quote_rest() == repr(b"250-a ****\r\n250-a ****\r\n") + " (10 octets)"
    reader.feed(b"ry")
    assert reader.next_reply() is None
    assert reader.quote_rest() == repr(b"250-a ****\r\n250-a ****\r\n") + " (12 octets)"
    reader.feed(b"\r\n")
    assert reader.next_reply() == Reply(250, (b"a canary", b"a sparrow", b"a canary"))


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (b"canary\r\n", r"expected a reply line .*, got b'\*\*\*\*'$"),
        (b"250 a\0canary\r\n", r"expected a reply line .*, got b'250 a\\x00\*\*\*\*'$"),
        (b"250-a\r\n550 canary\r\n", r"the next line of a reply 250, got b'550 \*\*\*\*': all lines"),
        (b"250-x\r\n" * REPLY_LINE_LIMIT + b"250 a sparrow\r\n", r"its last line is b'250 a \*\*\*\*'$"),
        (b"250 canary" + b"a" * LINE_LIMIT + b"\n", r"octets, it begins with b'250 \*\*\*\*a+'\.\.\. \(8200 octets\)$"),
        (b"250 canary" + b"a" * LINE_LIMIT, r"octets, it begins with \(8202 octets\)$"),
    ],
    ids=["garbage", "NUL", "another code", "endless reply", "long line", "endless line"],
)
def test_no_error_quotes_what_must_not_be_shown(wire: bytes, problem: str) -> None:
    reader = masking()
    reader.feed(wire)
    with pytest.raises(RemoteProtocolError, match=problem) as caught:
        reader.next_reply()
    assert "canary" not in str(caught.value)
    assert "sparrow" not in str(caught.value)


def test_a_reader_masks_what_it_is_given() -> None:
    assert masking().masked(b"a canary and a sparrow") == b"a **** and a ****"
    assert ReplyReader().masked(b"a canary") == b"a canary"


def test_a_masked_reply_says_the_same_without_the_secret() -> None:
    reply = Reply(535, (b"5.7.8 canary", b"no such canary, no", b"5.7.8"))
    masked = reply.masked(lambda text: text.replace(b"canary", b"****"))
    assert masked == Reply(535, (b"5.7.8 ****", b"no such ****, no", b"5.7.8"))
    assert reply.lines[0] == b"5.7.8 canary"
    assert reply.masked(bytes) == reply


# Replies


@pytest.mark.parametrize(
    ("code", "judgement"),
    [
        (200, "is_completion"),
        (299, "is_completion"),
        (300, "is_intermediate"),
        (354, "is_intermediate"),
        (399, "is_intermediate"),
        (400, "is_transient"),
        (499, "is_transient"),
        (500, "is_permanent"),
        (599, "is_permanent"),
    ],
)
def test_a_reply_is_judged_by_its_first_digit(code: int, judgement: str) -> None:
    reply = Reply(code, (b"",))
    judgements = ("is_completion", "is_intermediate", "is_transient", "is_permanent")
    assert [name for name in judgements if getattr(reply, name)] == [judgement]


@pytest.mark.parametrize(
    ("code", "line", "expected"),
    [
        (550, b"5.1.1 no such user", EnhancedCode(5, 1, 1)),
        (550, b"5.1.1", EnhancedCode(5, 1, 1)),
        (550, b"5.1.1 ", EnhancedCode(5, 1, 1)),
        (250, b"2.0.0 ok", EnhancedCode(2, 0, 0)),
        (200, b"2.0.0 ok", EnhancedCode(2, 0, 0)),
        (499, b"4.0.0 no", EnhancedCode(4, 0, 0)),
        (599, b"5.0.0 no", EnhancedCode(5, 0, 0)),
        (452, b"4.999.999 x", EnhancedCode(4, 999, 999)),
        (250, b"5.1.1 ok", None),
        (550, b"4.1.1 no", None),
        (354, b"3.0.0 go", None),
        (550, b"5.1.1no", None),
        (550, b"5.1.1.1 no", None),
        (550, b"5.1.1\tno", None),
        (550, b" 5.1.1 no", None),
        (550, b"#5.1.1 no", None),
        (550, b"5.1 no", None),
        (550, b"5.1000.1 no", None),
        (550, b"5.1.1000 no", None),
        (550, b"5..1 no", None),
        (550, b"5.-1.1 no", None),
        (550, "5.\u0661.1 no".encode(), None),
        (550, b"", None),
    ],
)
def test_an_enhanced_code_stands_first_and_agrees_with_the_code(
    code: int, line: bytes, expected: EnhancedCode | None
) -> None:
    assert Reply(code, (line,)).enhanced_code == expected


def test_the_enhanced_code_of_several_lines_is_the_last_ones() -> None:
    assert Reply(550, (b"5.7.1 a", b"5.7.2 b")).enhanced_code == EnhancedCode(5, 7, 2)


def test_an_enhanced_code_is_written_with_dots() -> None:
    code = EnhancedCode(5, 7, 28)
    assert str(code) == "5.7.28"
    assert hash(code) == hash(EnhancedCode(5, 7, 28))
    with pytest.raises(AttributeError):
        code.detail = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("reply", "text", "shown"),
    [
        (Reply(250, (b"ok",)), "250 ok", ("250 ok",)),
        (Reply(250, (b"",)), "250", ("250",)),
        (Reply(250, (b"a", b"", b"c")), "250 a  c", ("250-a", "250-", "250 c")),
        (
            Reply(550, (b"\x1b[31m\x07 caf\xe9 \x85x",)),
            r"550 \x1b[31m\x07 caf\xe9 \x85x",
            (r"550 \x1b[31m\x07 caf\xe9 \x85x",),
        ),
        (Reply(550, ("ça va".encode(),)), "550 ça va", ("550 ça va",)),
    ],
)
def test_a_reply_is_shown_as_printable_lines(reply: Reply, text: str, shown: tuple[str, ...]) -> None:
    assert str(reply) == text
    assert str(reply).removeprefix(str(reply.code)).strip() == reply.text
    assert tuple(reply.shown()) == shown


def test_a_reply_is_a_value() -> None:
    reply = Reply(250, (b"ok",))
    assert reply == pickle.loads(pickle.dumps(reply))
    assert hash(reply) == hash(Reply(250, (b"ok",)))
    with pytest.raises(AttributeError):
        reply.code = 550  # type: ignore[misc]


def test_whole_replies_that_match_are_taken_together_from_one_piece() -> None:
    two = re.compile(rb"(?:25[01] \r\n){2}")
    reader = ReplyReader()
    assert reader.take_together(two) is None
    reader.feed(b"554 \r\n250 \r\n251 \r\n252 \r\n")
    assert reader.take_together(two) is None
    assert reader.next_reply() == Reply(554, (b"",))
    assert reader.take_together(two) == b"250 \r\n251 \r\n"
    assert reader.take_together(two) is None
    assert reader.next_reply() == Reply(252, (b"",))
    reader.feed(b"250 \r\n251 \r\n")
    assert reader.take_together(two) == b"250 \r\n251 \r\n"
    assert not reader
    reader.feed(b"25")
    assert reader.next_reply() is None
    reader.feed(b"0 \r\n251 \r\n")
    assert reader.take_together(two) is None  # inside a line
    assert reader.next_reply() == Reply(250, (b"",))


def test_what_was_taken_together_can_be_put_back_and_what_is_behind_it_looked_at() -> None:
    reader = ReplyReader()
    for piece in (b"250 a\r\n250 b", b"\r\n", b"42"):
        reader.feed(piece)
    taken = reader.take_together(re.compile(rb"250 .\r\n"))
    assert taken == b"250 a\r\n"
    assert reader.rest == b"250 b\r\n42"
    reader.put_back(taken)
    assert reader.rest == b"250 a\r\n250 b\r\n42"
    assert reader.next_reply() == Reply(250, (b"a",))
    assert reader.next_reply() == Reply(250, (b"b",))
    assert reader.rest == b"42"
    assert reader.quote_rest() == repr(b"42")


def test_no_lines_are_taken_together_inside_a_reply() -> None:
    pattern = re.compile(rb"250 [a-z]*\r\n")
    reader = ReplyReader()
    reader.feed(b"250-a\r\n")
    assert reader.next_reply() is None
    reader.feed(b"250 b\r\n250 c\r\n")
    assert reader.take_together(pattern) is None
    assert reader.next_reply() == Reply(250, (b"a", b"b"))
    assert reader.take_together(pattern) == b"250 c\r\n"


def test_a_reply_is_shown_without_the_spaces_at_its_end_and_no_less() -> None:
    assert Reply(250, (b"MAX", b"MAX\xc2\xa0 ", b"")).shown() == ("250-MAX", "250-MAX\xa0", "250")


line_texts = st.binary(max_size=80).filter(lambda line: not set(line) & {0, 0x0A, 0x0D})


@given(st.integers(200, 599), st.lists(line_texts, min_size=1, max_size=8))
def test_what_was_written_is_read_and_shown_without_controls(code: int, lines: list[bytes]) -> None:
    *others, last = lines
    wire = b"".join(b"%d-%s\r\n" % (code, line) for line in others) + b"%d %s\r\n" % (code, last)
    [reply] = read(wire)
    assert read(*octets(wire)) == [reply]
    assert reply == Reply(code, tuple(lines))
    for shown in (str(reply), reply.text, repr(reply), *reply.shown()):
        assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in shown)
        assert len(shown.splitlines()) <= 1


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"250 ok\r\n", b"250-a\r\n", b"\r\n", b"5"])))
def test_any_octets_are_replies_or_a_protocol_error(pieces: list[bytes]) -> None:
    def outcome(parts: list[bytes]) -> tuple[list[Reply], str | None]:
        reader, replies = ReplyReader(), []
        try:
            for part in parts:
                reader.feed(part)
                while (reply := reader.next_reply()) is not None:
                    replies.append(reply)
        except RemoteProtocolError as error:
            return replies, str(error)
        return replies, None

    whole = b"".join(pieces)
    assert outcome(pieces) == outcome([whole]) == outcome(octets(whole))
