import tracemalloc
from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailwire.testing import CLOSE, MAIL_DATA, Hear, Recording, RecordingProxy, Tls, load_script
from mailwire.testing.script import check_line


def record(*said: bytes, replacing: dict[str, str] | None = None) -> Recording:
    """A recording in which the server speaks first, and then the client, and so on."""
    recording = Recording(replacing)
    for number, octets in enumerate(said):
        (recording.hear_client if number % 2 else recording.hear_server)(octets)
    return recording


def lines(*said: bytes, **settings: dict[str, str]) -> list[str]:
    return record(*said, **settings).text.splitlines()


def test_a_dialogue_is_written_as_a_script(tmp_path: Path) -> None:
    recording = record(
        *(b"220 hi\r\n", b"EHLO c\r\n", b"250-hi\r\n250 STARTTLS\r\n", b"STARTTLS\r\n", b"220 go\r\n"),
    )
    recording.begin_tls()
    recording.hear_client(b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n")
    recording.hear_server(b"250 ok\r\n250 ok\r\n354 go\r\n")
    recording.hear_client(b"hello\r")
    recording.hear_client(b"\n.\r\nQUIT\r\n")
    recording.hear_server(b"250 ok\r\n221 bye\r\n")
    recording.end()
    expected = (
        *("S: 220 hi", "C: EHLO c", "S: 250-hi", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", Tls()),
        *("C: MAIL FROM:<a>", "C: RCPT TO:<b>", "C: DATA", "S: 250 ok", "S: 250 ok", "S: 354 go", MAIL_DATA, "C: QUIT"),
        *("S: 250 ok", "S: 221 bye", CLOSE),
    )
    assert recording.script() == expected
    recording.save(tmp_path / "a.txt", "Two lines\n\nof comment.")
    assert load_script(tmp_path / "a.txt") == expected
    assert (tmp_path / "a.txt").read_text().startswith("# Two lines\n#\n# of comment.\nS: 220 hi\n")
    recording.save(str(tmp_path / "b.txt"))
    assert (tmp_path / "b.txt").read_text() == recording.text


def test_chunks_are_kept_by_their_size() -> None:
    recording = record(b"250 ok\r\n", b"BDAT 4\r\nab", b"", b"\r\nBDAT 0 LAST\r\n", b"", b"BDAT 2 LAST\r\nxyQUIT\r\n")
    assert recording.script() == (
        "S: 250 ok",
        "C: BDAT 4",
        Hear(4),
        "C: BDAT 0 LAST",
        "C: BDAT 2 LAST",
        Hear(2),
        "C: QUIT",
    )


def test_a_message_that_is_refused_beforehand_is_none() -> None:
    assert lines(b"", b"DATA\r\n", b"503 no\r\n", b"RSET\r\n") == ["C: DATA", "S: 503 no", "C: RSET"]


def test_octets_that_are_no_text_are_escaped() -> None:
    said = b" caf\xe9\x1b\\ \r\n"
    recording = record(
        b"250" + said, b"NOOP" + said, b"25\n", b"x\n", b"(a, 1 octets)\r\n", b"x...\r\n", b"\r\nrest", b"y"
    )
    assert recording.text.splitlines() == [
        "S: 250 caf\\xe9\\x1b\\x5c\\x20",
        "C: NOOP caf\\xe9\\x1b\\x5c\\x20",
        "S; 25\\x0a",
        "C; x\\x0a",
        "S: \\x28a, 1 octets)",
        "C: x..\\x2e",
        "S:",
        "S; rest",
    ]
    said_again = b"".join(
        step if isinstance(step, bytes) else f"{step[3:]}\r\n".encode()
        for step in recording.script()
        if isinstance(step, bytes) or (isinstance(step, str) and step.startswith("S: "))
    )
    assert said_again == b"250" + said + b"25\n(a, 1 octets)\r\n\r\nrest"


def coded(text: bytes) -> bytes:
    return b64encode(text)


@pytest.mark.parametrize("verb", [b"PASS", b"pass"])
def test_a_password_of_pop3_is_masked_wherever_it_stands(verb: bytes) -> None:
    said = lines(
        b"+OK\r\n", b"USER tim\r\n", b"+OK\r\n", verb + b" hunter2\r\n", b"-ERR not hunter2, 68756e74657232\r\n"
    )
    assert said == ["S: +OK", "C: USER tim", "S: +OK", f"C: {verb.decode()} ****", "S: -ERR not ****, ****"]


def test_a_digest_of_apop_is_masked() -> None:
    assert lines(b"", b"APOP tim 0123456789abcdef\r\n") == ["C: APOP tim ****"]


def test_exchanges_are_masked_and_names_are_not() -> None:
    said = lines(b"", b"AUTH PLAIN " + coded(b"\0tim\0hunter2") + b"\r\n", b"235 tim is not hunter2\r\n", b"NOOP\r\n")
    assert said == ["C: AUTH PLAIN ****", "S: 235 tim is not ****", "C: NOOP"]
    prompts = (
        b"334 VXNlcm5hbWU6\r\n",
        coded(b"timothy") + b"\r\n",
        b"334 UGFzc3dvcmQ6\r\n",
        coded(b"hunter2") + b"\r\n",
    )
    said = lines(b"", b"auth login\r\n", *prompts, b"235 timothy, hunter2\r\n")
    assert said == [
        "C: auth login",
        "S: 334 VXNlcm5hbWU6",
        "C: ****",
        "S: 334 UGFzc3dvcmQ6",
        "C: ****",
        "S: 235 timothy, ****",
    ]


def test_challenges_are_masked_where_they_tell_of_the_password() -> None:
    first = b"AUTH SCRAM-SHA-1 " + coded(b"n,,n=tim,r=abc") + b"\r\n"
    said = lines(b"", first, b"334 cj1h\r\n", b"eHl6\r\n", b"+ dj1h\r\n")
    assert said == ["C: AUTH SCRAM-SHA-1 ****", "S: 334 ****", "C: ****", "S: + ****"]
    said = lines(b"", b"AUTH CRAM-MD5\r\n", b"+ PDE+\r\n", coded(b"tim 0123456789") + b"\r\n", b"+OK 0123456789\r\n")
    assert said == ["C: AUTH CRAM-MD5", "S: + PDE+", "C: ****", "S: +OK ****"]
    said = lines(b"", b"AUTH PLAIN\r\n", b"334 \r\n", b"*\r\n", b"501 no\r\n", b"NOOP\r\n")
    assert said == ["C: AUTH PLAIN", "S: 334\\x20", "C: *", "S: 501 no", "C: NOOP"]


def test_tokens_are_masked() -> None:
    response = coded(b"user=tim\x01auth=Bearer vF9dft4qmTc2\x01\x01")
    refusal = b"334 " + coded(b"{}") + b"\r\n"
    said = lines(b"", b"AUTH XOAUTH2 " + response + b"\r\n", refusal, b"\r\n", b"535 vF9dft4qmTc2\r\n")
    assert said == ["C: AUTH XOAUTH2 ****", "S: 334 ****", "C: ****", "S: 535 ****"]


def test_what_is_no_base64_is_masked_all_the_same() -> None:
    assert lines(b"", b"AUTH X !hunter2!\r\n", b"501 !hunter2! is none\r\n") == [
        "C: AUTH X ****",
        "S: 501 **** is none",
    ]


def test_short_secrets_are_not_looked_for() -> None:
    assert lines(b"", b"PASS ok\r\n", b"+OK ok\r\n") == ["C: PASS ****", "S: +OK ok"]


@pytest.mark.parametrize(
    ("replacing", "message"),
    [
        ("bank", "replacing to be a mapping of words to texts, got 'bank'"),
        ({1: "x"}, "a word of replacing to be text, got 1"),
        ({"bank": None}, "what replaces 'bank' to be text, got None"),
        ({"": "x"}, "words of replacing, got an empty one"),
    ],
)
@pytest.mark.parametrize("make", [Recording, partial(RecordingProxy, "mx.example.org", 25)])
def test_what_replaces_no_words_is_refused_at_once(make: Any, replacing: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(replacing=replacing)


def test_words_are_replaced() -> None:
    said = lines(
        b"220 mx.bank.example\r\n", b"MAIL FROM:<me@bank.example>\r\n", replacing={"bank.example": "example.org"}
    )
    assert said == ["S: 220 mx.example.org", "C: MAIL FROM:<me@example.org>"]


def test_a_word_of_the_clients_that_is_no_exchange_ends_it() -> None:
    said = lines(b"", b"AUTH PLAIN x\r\n", b"535 no\r\n", b"MAIL FROM:<a>\r\n", b"334 what\r\n", b"RCPT TO:<b>\r\n")
    assert said == ["C: AUTH PLAIN ****", "S: 535 no", "C: MAIL FROM:<a>", "S: 334 what", "C: RCPT TO:<b>"]


# Every way in which a client may say a secret

PLAIN, NAME, SECRET = coded(b"\0tim\0hunter2 too"), coded(b"timothy"), coded(b"hunter2 too")
TOKEN = coded(b"n,a=tim,\x01auth=bearer hunter2 too\x01\x01")


@pytest.mark.parametrize(
    "said",
    [
        (b"AUTH PLAIN " + PLAIN,),
        (b"AUTH  PLAIN  " + PLAIN,),
        (b"AUTH\tPLAIN\t" + PLAIN,),
        (b" auth plain " + PLAIN,),
        (b"AUTH PLAIN\r\n" + PLAIN,),
        (b"AUTH PLAIN", b"334 \r\n", PLAIN),
        (b"AUTH PLAIN", b"334\r\n", PLAIN),
        (b"AUTH PLAIN", b"+\r\n", PLAIN),
        (b"AUTH PLAIN", b"250 what\r\n", PLAIN),
        (b"AUTH PLAIN", b"500 what\r\n", PLAIN, b"500 what\r\n", b"QUIT"),
        (b"AUTH LOGIN", b"334 a\r\n", NAME, b"334 b\r\n", SECRET),
        (b"AUTH LOGIN " + NAME, b"334 b\r\n", SECRET),
        (b"AUTH LOGIN", b"334 a\r\n", NAME + b"\r\n" + SECRET),
        (b"AUTH LOGIN\r\n" + NAME + b"\r\n" + SECRET,),
        (b"AUTH LOGIN", b"500 what\r\n", NAME, b"500 what\r\n", SECRET),
        (b"AUTH OAUTHBEARER " + TOKEN,),
        (b"AUTH XOAUTH2", b"334 \r\n", TOKEN),
        (b"AUTH NTLM", b"334 NTLM\r\n", coded(b"\0hunter2 too")),
        (b"AUTH CRAM-MD5", b"334 PDE+\r\n", coded(b"tim hunter2")),
        (b"AUTH EXTERNAL =", b"535 no\r\n", b"PASS hunter2 too"),
        (b"PASS hunter2 too",),
        (b"PASS\thunter2 too",),
        (b"  pass  hunter2 too",),
        (b"USER tim\r\nPASS hunter2 too\r\nSTAT",),
        (b"APOP tim hunter2 too",),
        (b"APOP  tim\thunter2 too",),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_no_secret_is_written_however_it_is_said(said: tuple[bytes, ...], size: int) -> None:
    recording = record(b"220 hi\r\n")
    for number, octets in enumerate((*said, b"535 it is not hunter2 too\r\n")):
        hear = recording.hear_client if number % 2 == 0 else recording.hear_server
        whole = octets if octets.endswith(b"\n") else octets + b"\r\n"
        for start in range(0, len(whole), size):
            hear(whole[start : start + size])
    for spelling in (b"hunter2", PLAIN, SECRET, TOKEN, b"hunter2 too".hex().encode()):
        assert spelling.decode() not in recording.text
    assert "****" in recording.text
    recording.script()


@pytest.mark.parametrize("place", range(len(b"-ERR not hunter2, really\r\n") + 1))
def test_a_line_of_the_servers_during_which_the_client_speaks_is_written_whole(place: int) -> None:
    said = b"-ERR not hunter2, really\r\n"
    recording = record(b"+OK\r\n", b"PASS hunter2\r\n", said[:place], b"STAT\r\n", b"", b"LIST\r\n", said[place:])
    beforehand = recording.text
    assert "hunt" not in beforehand
    recording.end()
    told = ["S: -ERR not ****, really"]
    commands = ["C: STAT", "C: LIST"]
    expected = [*commands, *told] if place == 0 else [*told, *commands]
    assert recording.text.splitlines() == ["S: +OK", "C: PASS ****", *expected, "S closes"]
    assert recording.text == beforehand + "S closes\n"


@pytest.mark.parametrize("size", range(len(b"-ERR not hunter2")))
def test_of_a_secret_in_which_a_line_breaks_off_no_more_than_three_octets_are_written(size: int) -> None:
    recording = record(b"+OK\r\n", b"PASS hunter2\r\n", b"-ERR not hunter2"[:size])
    told = [recording.text]
    recording.end()
    for text in (*told, recording.text):
        assert "hunt" not in text
        assert ("-ERR not ****\n" in text) is (size >= len(b"-ERR not hunt"))


@pytest.mark.parametrize("secrets", [("hunter2", "unterwegs"), ("unterwegs", "hunter2")])
def test_a_line_that_breaks_off_in_two_secrets_is_masked_from_the_first(secrets: tuple[str, str]) -> None:
    said = [b"PASS %b\r\n" % secret.encode() for secret in secrets]
    recording = record(b"+OK\r\n", said[0], b"-ERR no\r\n", said[1], b"-ERR not hunter")
    recording.end()
    assert recording.text.splitlines()[-2:] == ["S; -ERR not ****", "S closes"]


def test_what_the_server_left_unfinished_is_written() -> None:
    recording = record(b"+OK\r\n", b"AUTH SCRAM-SHA-1\r\n", b"+ cj1h")
    said = ["S: +OK", "C: AUTH SCRAM-SHA-1", "S; + ****"]
    assert recording.text.splitlines() == said
    recording.end()
    assert recording.text.splitlines() == [*said, "S closes"]
    assert recording.script()[2] == b"+ ****"


def test_a_secret_that_is_said_back_quoted_is_masked() -> None:
    said = lines(b"", b'PASS hun"ter 2\r\n', b'-ERR {"pass": "hun\\"ter 2"}\r\n', b"", b"-ERR ?pass=hun%22ter%202\r\n")
    assert said == ["C: PASS ****", 'S: -ERR {"pass": "****"}', "S: -ERR ?pass=****"]


@pytest.mark.parametrize("mechanism", [b"EXTERNAL", b"ANONYMOUS"])
def test_a_name_that_is_no_secret_is_said_again(mechanism: bytes) -> None:
    said = lines(
        b"", b"AUTH " + mechanism + b" " + coded(b"tim@x.y") + b"\r\n", b"235 ok\r\n", b"MAIL FROM:<tim@x.y>\r\n"
    )
    assert said == [f"C: AUTH {mechanism.decode()} ****", "S: 235 ok", "C: MAIL FROM:<tim@x.y>"]


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (b"MAIL FROM:<test@x.y> SIZE=3", "C: MAIL FROM:<..."),
        (b"RCPT TO:<b@x.y> X=test", "C: RCPT TO:<b@x.y> X=..."),
        (b"NOOP test", "C: NOOP ****"),
        (b"NOOP \\test", "C: ****"),
        (b"NOOP **** test", "C: NOOP **** ****"),
    ],
)
def test_a_line_of_the_clients_with_a_secret_in_it_can_be_played_again(line: bytes, written: str) -> None:
    recording = record(b"", b"AUTH PLAIN " + coded(b"\0tim\0test") + b"\r\n", b"235 ok\r\n", line + b"\r\n")
    assert recording.text.splitlines()[-1] == written
    *_, step = recording.script()
    assert isinstance(step, str)
    check_line(line.decode(), step.removeprefix("C: "))


def test_a_secret_in_a_line_without_its_end_is_masked() -> None:
    assert lines(b"", b"PASS hunter2\r\nNOOP hunter2\n") == ["C: PASS ****", "C; NOOP ****\\x0a"]


@pytest.mark.parametrize("message", [b".\r\n", b"\r\n.\r\n", b"a\n.\r\n.\r.\r\n..\r\n.\r\n"])
def test_a_message_may_come_in_pieces_and_another_behind_it(message: bytes) -> None:
    said = message + b"NOOP\r\n"
    for place in range(len(said) + 1):
        recording = record(b"220 hi\r\n")
        for _ in range(2):
            recording.hear_client(b"DATA\r\n")
            recording.hear_server(b"354 go\r\n")
            recording.hear_client(said[:place])
            recording.hear_client(said[place:])
            recording.hear_server(b"250 ok\r\n")
        assert recording.text.splitlines()[1:] == ["C: DATA", "S: 354 go", "MAIL_DATA", "C: NOOP", "S: 250 ok"] * 2


def test_a_message_is_not_kept() -> None:
    recording = record(b"220 hi\r\n", b"DATA\r\n", b"354 go\r\n")
    block = b"x" * 65_534 + b"\r\n"
    tracemalloc.start()
    try:
        for _ in range(64):
            recording.hear_client(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    recording.hear_client(b".\r\n")
    assert recording.text.endswith("MAIL_DATA\n")
