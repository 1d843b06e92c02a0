from pathlib import Path

import pytest

from mailwire.testing import (
    ALERT,
    CLIENT_HELLO,
    CLOSE,
    FIN,
    LISTEN,
    MAIL_DATA,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Beneath,
    Endless,
    Hear,
    Slow,
    Tls,
    load_script,
    parse_script,
)

TEXT = r"""
# A comment.
    # Another.
S: 220 ready
C: EHLO ...
S: 250-mx

S; 250 S
S: TARTTLS \x1b\0\\
C: STARTTLS
TLS
TLS expired
C: AUTH PLAIN ****
C; hel
C: a\rb
S: (a.eml, 3 octets)
C: (a.eml, 3 octets)
S:
C:
HEAR 65536
MAIL_DATA
BENEATH \x15\x03
BENEATH  x
ENDLESS S: 250-x
ENDLESS S;a
ENDLESS S: (a.eml, 3 octets)
0.5 B/s S: 250 ok
1 B/s S: (a.eml, 3 octets)
10 B/s ENDLESS S; a
10 B/s S; \n\t
S closes
CLOSE
FIN
RST
STALL
LISTEN
NO_READING
WITHHOLD
WAIT
CLIENT_HELLO
ALERT

PACKET
"""

STEPS = (
    "S: 220 ready",
    "C: EHLO ...",
    "S: 250-mx",
    PACKET,
    b"250 S",
    b"TARTTLS \x1b\0\\\r\n",
    "C: STARTTLS",
    Tls("localhost"),
    Tls("expired"),
    "C: AUTH PLAIN ...",
    Hear(b"hel"),
    Hear(b"a\rb\r\n"),
    b"x\r\n",
    Hear(b"x\r\n"),
    "S: ",
    "C: ",
    Hear(65536),
    MAIL_DATA,
    Beneath(b"\x15\x03"),
    Beneath(b" x"),
    Endless(b"250-x\r\n"),
    Endless(b"a"),
    Endless(b"x\r\n"),
    Slow("S: 250 ok", 0.5),
    Slow(b"x\r\n", 1),
    Slow(Endless(b"a"), 10),
    Slow(b"\n\t", 10),
    CLOSE,
    CLOSE,
    FIN,
    RST,
    STALL,
    LISTEN,
    NO_READING,
    WITHHOLD,
    WAIT,
    CLIENT_HELLO,
    ALERT,
    PACKET,
)


def test_every_step_but_answers_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"x\r\n")
    (tmp_path / "script.txt").write_text(TEXT)
    assert load_script(tmp_path / "script.txt") == STEPS
    assert load_script(str(tmp_path / "script.txt"), folder=str(tmp_path)) == STEPS
    assert parse_script(TEXT, folder=tmp_path) == STEPS


def test_files_are_looked_for_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.eml").write_bytes(b"x\r\n")
    (tmp_path / "script.txt").write_text("S: (a.eml, 3 octets)")
    assert load_script(tmp_path / "script.txt", folder=tmp_path / "files") == (b"x\r\n",)
    with pytest.raises(FileNotFoundError):
        load_script(tmp_path / "script.txt")
    monkeypatch.chdir(tmp_path / "files")
    assert parse_script("S: (a.eml, 3 octets)") == (b"x\r\n",)


def test_the_blank_behind_who_speaks_may_be_missing() -> None:
    assert parse_script("S:220 mx\nC:QUIT\nS;a\nC;b") == ("S: 220 mx", "C: QUIT", b"a", Hear(b"b"))


def test_empty_lines_elsewhere_mean_nothing() -> None:
    assert parse_script("\n\nS: a\n\nC: b\n\n\nS: c\n\n") == ("S: a", "C: b", "S: c")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("what", 'expected "S: ...", "C: ..." or a word of a script, got \'what\''),
        ("250 ok", "expected"),
        ("ENDLESS C: x", "expected"),
        ("1 B/s STALL", "expected"),
        ("1 B/s what", "expected"),
        ("0 B/s S: x", "greater than 0"),
        ("1.2.3 B/s S: x", "expected"),
        (". B/s S: x", "expected"),
        ("TLS nobody", "no test certificate is called"),
        ("HEAR -1", "expected"),
        ("1 B/s C: x", "is nothing that a peer says"),
        ("HEAR many", "expected"),
        ("S: \\q", r"'\\\\q' is no escape"),
        ("S: \\", "is no escape"),
        ("S: \\ü", r"'\\\\\ufffd' is no escape"),
        ("S: x\\x1", "is no escape"),
        ("ENDLESS S;", "at least one octet"),
    ],
)
def test_what_is_no_step_is_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"line 3 of the transcript: .*{message}"):
        parse_script(f"S: 220\n# comment\n{line}\n")


def test_a_file_has_the_octets_that_the_transcript_says(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"x\r\n")
    with pytest.raises(ValueError, match=r"a\.eml has 3 octets, the transcript says 4"):
        parse_script("S: (a.eml, 4 octets)", folder=tmp_path)
    with pytest.raises(FileNotFoundError):
        parse_script("S: (b.eml, 4 octets)", folder=tmp_path)


def test_what_is_wrong_with_a_file_names_it_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfS: 220 mx\r\nC: QUIT\r\n")
    assert load_script(path) == ("S: 220 mx", "C: QUIT")
    path.write_text("S: 220 mx\nwhat\n")
    with pytest.raises(ValueError, match="line 2 of the transcript") as caught:
        load_script(path)
    assert caught.value.__notes__ == [f"the transcript is {path}"]
    path.write_text("S: 220 mx\nS: (b.eml, 4 octets)\n")
    with pytest.raises(FileNotFoundError) as missing:
        load_script(path)
    assert missing.value.__notes__ == ["line 2 of the transcript: S: (b.eml, 4 octets)"]
