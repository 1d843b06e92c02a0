from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from mailwire.testing.script import (
    ALERT,
    CLOSE,
    FIN,
    LISTEN,
    MAIL_DATA,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Answers,
    Beneath,
    Endless,
    Hear,
    Mark,
    Slow,
    Step,
    Tls,
    check_line,
    check_script,
    chunk_size,
    decode_line,
    encode_line,
    find_mail_end,
    hello_size,
    place_in,
    shorten,
    spoken,
)


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (STALL, "STALL"),
        (Hear(10), "Hear(octets=10)"),
        (Beneath(b"250 mx"), "Beneath(octets=b'250 mx')"),
        (Tls(), "Tls(name='localhost')"),
        (Answers({"NOOP": "250 ok"}), "Answers(table={'NOOP': '250 ok'})"),
        (Slow(Endless(b"a"), 1), "Slow(said=Endless(octets=b'a'), octets_per_second=1)"),
    ],
)
def test_a_step_is_shown_as_it_is_written(step: object, shown: str) -> None:
    assert repr(step) == shown


def test_steps_are_values() -> None:
    assert Slow("S: 220 mx", 2) == Slow("S: 220 mx", 2)
    assert Tls("expired") != Tls()
    assert len({Hear(1), Hear(1), Hear(2)}) == 2


def test_every_mark_is_a_constant_of_its_name() -> None:
    from mailwire.testing import script

    assert all(getattr(script, mark.name) is mark for mark in Mark)


def test_a_script_of_steps_is_fine() -> None:
    check_script(
        ("S: 220 mx", b"25", "C: EHLO ...", PACKET, Hear(1), Beneath(b"x"), Tls(), Answers({}), Slow(Endless(b"a"), 1))
    )
    check_script(())


@pytest.mark.parametrize("step", ["QUIT", "S:220 mx", "c: QUIT", "", 220, None, bytearray(b"x"), ("S: 220",), Mark])
def test_what_is_no_step_is_refused(step: Any) -> None:
    with pytest.raises(ValueError, match="is no step of a script"):
        check_script(("S: 220 mx", step))


@pytest.mark.parametrize("ending", [CLOSE, FIN, RST, ALERT])
@pytest.mark.parametrize(
    "step", ["S: 221 bye", b"x", Slow(b"x", 1), Endless(b"x"), Beneath(b"x"), Tls(), Answers({"QUIT": "221 bye"})]
)
def test_nothing_is_said_behind_the_end(ending: Step, step: Step) -> None:
    before = () if step == Tls() else (Tls(),)
    check_script((*before, step, ending))
    with pytest.raises(ValueError, match=rf"is no step behind {ending!r}: nothing can be said any more"):
        check_script((Tls(), ending, LISTEN, step))


@pytest.mark.parametrize("script", [(ALERT,), ("S: 220 mx", ALERT, LISTEN), ("C: QUIT", ALERT, STALL, "C: QUIT")])
def test_no_tls_is_broken_before_there_is_any(script: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match=r"^ALERT is no step of a script before Tls: there is no TLS to break$"):
        check_script(script)
    check_script((Tls(), *script))


@pytest.mark.parametrize("step", [CLOSE, FIN, RST, ALERT])
def test_what_was_reset_is_not_ended_again(step: Step) -> None:
    check_script((Tls(), CLOSE, FIN, ALERT, RST))
    with pytest.raises(ValueError, match=rf"^{step!r} is no step behind RST: the connection is gone$"):
        check_script((Tls(), RST, LISTEN, step))


def test_tls_begins_once() -> None:
    with pytest.raises(
        ValueError, match=r"^Tls\(name='localhost'\) is no step .* behind another one: TLS is in force$"
    ):
        check_script((Tls("self-signed"), "S: 220 mx", Tls()))


def test_what_is_no_saying_may_come_behind_the_end() -> None:
    check_script((CLOSE, FIN, "C: QUIT", Hear(1), PACKET, WAIT, STALL, WITHHOLD, LISTEN))


def test_endless_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected at least one octet to say without end$"):
        Endless(b"")


def test_nothing_at_all_may_be_heard() -> None:
    assert Hear(0).size == Hear(b"").size == 0


@pytest.mark.parametrize("said", ["C: QUIT", "220", b"", ""])
def test_what_nobody_says_cannot_be_said_slowly(said: str | bytes) -> None:
    with pytest.raises(ValueError, match="is nothing that a peer says"):
        Slow(said, 1)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_slowness_has_a_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Slow(b"a", rate)


@pytest.mark.parametrize("message", [b".\r\n", b"\r\n.\r\n", b"..\r\nx.\r\n.\r\n"])
def test_the_end_of_a_message_is_found_whatever_was_known_before(message: bytes) -> None:
    for known in range(len(message)):
        assert find_mail_end(message[:known]) is None
        assert find_mail_end(message + b"QUIT\r\n", known) == len(message)
    assert find_mail_end(bytearray(message)) == len(message)


def test_of_several_messages_the_end_of_the_first_is_found() -> None:
    assert find_mail_end(b"a\r\n.\r\nb\r\n.\r\n") == 6
    # What is known to have no end is not looked at again.
    assert find_mail_end(b"a\r\n.\r\nb\r\n.\r\n", 6) == 12


def test_what_is_heard_is_what_was_expected() -> None:
    Hear(2).check(b"ab")
    Hear(b"ab").check(b"ab")
    with pytest.raises(AssertionError, match="expected the client to say b'ab', it said b'ac'"):
        Hear(b"ab").check(b"ac")


def test_much_is_quoted_by_its_beginning_and_its_end() -> None:
    assert shorten(b"a" * 299) == f"b'{'a' * 299}'"
    assert shorten(b"a" * 200 + b"b" * 100) == f"b'{'a' * 100}' ... b'{'b' * 100}'"


def test_a_place_is_a_step_and_its_number() -> None:
    script: tuple[Step, ...] = ("S: 220 mx", b"x" * 1000, Tls())
    assert place_in(script, 1) == "at step 1 of 3, 'S: 220 mx'"
    assert place_in(script, 2) == f"at step 2 of 3, b'{'x' * 118}... (bytes)"
    assert place_in(script, 3) == "at step 3 of 3, Tls(name='localhost')"
    assert place_in(script, None) == "behind the last step"


def test_a_handshake_is_known_by_its_first_octet() -> None:
    assert [hello_size(said) for said in (b"", b"\x16", b"\x16\x03\x01\x01")] == [5, 5, 5]
    assert [hello_size(b"\x16\x03\x01\x01\x02" + b"x" * count) for count in (0, 300)] == [263, 263]
    for said in (b"E", b"\x17\x03\x03\x00\x01x"):
        with pytest.raises(AssertionError, match=r"^expected a handshake, the client said b'"):
            hello_size(said)


def test_a_line_has_its_end() -> None:
    assert encode_line("S: 250 Grüße") == "250 Grüße\r\n".encode()
    assert encode_line("S: ") == b"\r\n"
    assert encode_line("S: S: x") == b"S: x\r\n"


def test_a_line_of_the_clients_is_the_one_that_is_expected_or_begins_so() -> None:
    check_line("QUIT", "QUIT")
    check_line("MAIL FROM:<>", "MAIL ...")
    for line, expected in (("QUIT now", "QUIT"), ("QUI", "QUIT"), ("MAI", "MAIL ...")):
        with pytest.raises(AssertionError, match=f"expected the client to say '{expected}', it said '{line}'"):
            check_line(line, expected)


def test_what_is_no_text_in_a_line_is_escaped() -> None:
    assert decode_line(b"Gr\xc3\xbc\xdf\r\n") == "Gr\xfc\\xdf"
    with pytest.raises(AssertionError, match="expected a line that ends in CRLF"):
        decode_line(b"QUIT\n")


def test_what_is_slow_is_said_octet_by_octet() -> None:
    assert list(spoken(Slow("S: ab", 1), 100)) == [b"a", b"b", b"\r", b"\n"]
    assert list(spoken(Slow(b"ab", 1), 100)) == [b"a", b"b"]
    assert list(islice(spoken(Slow(Endless(b"ab"), 1), 100), 5)) == [b"a", b"b", b"a", b"b", b"a"]


def test_what_is_endless_is_said_in_pieces_that_fit_each_other() -> None:
    first, second = islice(spoken(Endless(b"abc"), 10), 2)
    assert (first + second).startswith(b"abcabcabcabcabc")
    assert (len(first) + len(second)) % 3 == 0
    assert len(first) >= 10
    assert [len(piece) for piece in islice(spoken(Endless(b"ab"), 9), 2)] == [10, 10]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hear(-1), "or a number of them, got -1"),
        (lambda: Hear("x"), "expected octets, got 'x'"),  # type: ignore[arg-type]
        (lambda: Beneath("x"), "expected octets, got 'x'"),  # type: ignore[arg-type]
        (lambda: Endless("S: x"), "expected octets, got 'S: x'"),  # type: ignore[arg-type]
        (lambda: Tls("nobody"), "no test certificate is called 'nobody'; expected one of localhost, "),
        (lambda: Answers([]), r"a table of commands and answers, got \[\]"),  # type: ignore[arg-type]
        (lambda: Answers({"QUIT": b"x"}), "as text, got 'QUIT' and b'x'"),  # type: ignore[dict-item]
        (lambda: Answers({1: "x"}), "as text, got 1 and 'x'"),  # type: ignore[dict-item]
        (lambda: Answers({"QUIT": "221 bye\r\n"}), r"parted by line feeds alone, got '221 bye\\r\\n'"),
        (lambda: Answers({"QUIT": "221 \udc80"}), r"lines in UTF-8 that are parted .* got '221 \\udc80'"),
        (lambda: Slow("S: 250 ok\r\n", 1), "a line has no line end in it"),
        (lambda: Slow(PACKET, 1), "PACKET is nothing that a peer says"),  # type: ignore[arg-type]
        (lambda: Slow(["S: x"], 1), r"\['S: x'\] is nothing that a peer says"),  # type: ignore[arg-type]
        (lambda: Slow("S: x", "1"), "greater than 0, got '1'"),  # type: ignore[arg-type]
        (lambda: check_script(("C: a\nb",)), "a line has no line end in it, for CRLF comes behind it"),
        (lambda: check_script(("S: 250 ok\r\n",)), r"'S: 250 ok\\r\\n' is no step .*: a line has no line end in it"),
        (lambda: check_script(("S: \udc80",)), "it cannot be written in UTF-8"),
    ],
)
def test_a_step_of_what_makes_none_is_refused_when_it_is_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_size_of_a_chunk_is_a_number() -> None:
    assert chunk_size("10") == chunk_size("10 LAST") == 10
    for argument in ("", "x", "-1", "1x LAST", "\u0663"):
        with pytest.raises(AssertionError, match="expected the client to say the size of a chunk"):
            chunk_size(argument)


def test_a_line_is_answered_by_steps() -> None:
    answers = Answers({"DATA": "354 go", "BDAT": "250 ok", ".": "250 it\n250 they", "QUIT": "221 bye", "data x": "500"})

    assert list(answers.steps("data")) == [b"354 go\r\n", MAIL_DATA, b"250 it\r\n250 they\r\n"]
    assert list(answers.steps("data x")) == [b"500\r\n"]
    assert list(answers.steps("bdat 3")) == [Hear(3), b"250 ok\r\n"]
    assert list(answers.steps("BDAT 3 LAST")) == [Hear(3), b"250 it\r\n250 they\r\n"]
    assert [answers.ends_with(line) for line in ("quit", "QUIT now", "QUI", "DATA")] == [True, True, False, False]
    with pytest.raises(AssertionError, match="the table has no answer to 'NOOP'"):
        list(answers.steps("NOOP"))
