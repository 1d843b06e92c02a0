import pytest

from mailwire.smtp import Extensions, Reply


def announced(*lines: bytes) -> Extensions:
    return Extensions.parse(Reply(250, (b"mx.example.org greets you", *lines)))


def test_the_first_line_is_no_extension() -> None:
    assert dict(Extensions.parse(Reply(250, (b"PIPELINING",)))) == {}
    assert dict(Extensions.parse(Reply(250, (b"PIPELINING", b"8BITMIME")))) == {"8BITMIME": ()}


def test_a_real_announcement_is_read() -> None:
    extensions = announced(
        b"PIPELINING",
        b"SIZE 10240000",
        b"VRFY",
        b"ETRN",
        b"STARTTLS",
        b"AUTH PLAIN LOGIN",
        b"AUTH=PLAIN LOGIN",
        b"ENHANCEDSTATUSCODES",
        b"8BITMIME",
        b"DSN",
        b"SMTPUTF8",
        b"CHUNKING",
    )
    assert len(extensions) == 11
    assert extensions.size == 10_240_000
    assert extensions.mechanisms == ("PLAIN", "LOGIN")
    assert "pipelining" in extensions
    assert "XCLIENT" not in extensions
    assert repr(extensions).startswith("Extensions({'PIPELINING': (), 'SIZE': ('10240000',)")


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"SIZE 1", 1),
        (b"size 35882577", 35_882_577),
        (b"SIZE=10", 10),
        (b"SIZE 99999999999999999999", 10**20 - 1),
        (b"SIZE 0", None),
        (b"SIZE", None),
        (b"SIZE abc", None),
        (b"SIZE 99999999999999999999999", None),
        (b"SIZE -1", None),
        (b"SIZE 1_000", None),
        ("SIZE ١٢٣".encode(), None),
        (b"SIZE \xb2", None),
        (b"SIZE " + b"1" * 5000, None),
        (b"XSIZE 5", None),
    ],
)
def test_a_size_is_a_positive_number_or_no_limit(line: bytes, size: int | None) -> None:
    assert announced(line).size == size


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (b"DELIVERBY", None),
        (b"DELIVERBY 240", 240),
        (b"DELIVERBY 240,X-TOKEN,OTHER", 240),
        (b"DELIVERBY 0", None),
        (b"DELIVERBY ,X-TOKEN", None),
        (b"DELIVERBY 999999999", 999_999_999),
        (b"DELIVERBY 9999999999", None),
        (b"DELIVERBY 24x", None),
        (b"DELIVERBY -1", None),
    ],
)
def test_the_least_time_to_deliver_in_is_a_number_before_any_comma(line: bytes, seconds: int | None) -> None:
    assert announced(line).least_deliver_by == seconds


def test_a_size_is_not_known_where_none_was_announced() -> None:
    assert Extensions().size is None


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        ((), ()),
        ((b"AUTH",), ()),
        ((b"AUTH=",), ()),
        ((b"AUTH plain Login",), ("PLAIN", "LOGIN")),
        ((b"AUTH=LOGIN",), ("LOGIN",)),
        ((b"AUTH PLAIN", b"AUTH LOGIN PLAIN"), ("PLAIN", "LOGIN")),
        ((b"AUTH=PLAIN", b"AUTH LOGIN"), ("PLAIN", "LOGIN")),
    ],
)
def test_mechanisms_are_upper_case_in_the_servers_order(lines: tuple[bytes, ...], mechanisms: tuple[str, ...]) -> None:
    assert announced(*lines).mechanisms == mechanisms


def test_what_cannot_be_read_is_not_offered() -> None:
    extensions = announced(b"", b"-", b"\xff\xfe", b"=STARTTLS", b"8BITMIME", b"\x1b[1mDSN")
    assert dict(extensions) == {"8BITMIME": ()}
    assert "STARTTLS" not in extensions


def test_ten_thousand_keywords_are_read() -> None:
    extensions = announced(*(b"X-%d" % number for number in range(10_000)), b"SIZE 5")
    assert len(extensions) == 10_001
    assert extensions.size == 5


def test_a_keyword_ten_thousand_times_is_one() -> None:
    assert announced(*[b"AUTH PLAIN"] * 10_000).mechanisms == ("PLAIN",)


@pytest.mark.parametrize(
    ("line", "limits"),
    [
        (b"LIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1", (20, 5, 1)),
        (b"limits rcptmax=999999", (999999, None, None)),
        (b"LIMITS", (None, None, None)),
        (b"LIMITS RCPTMAX=0 MAILMAX=05 RCPTDOMAINMAX=1000000", (None, None, None)),
        (b"LIMITS RCPTMAX MAILMAX= RCPTDOMAINMAX=1_0 RCPTMAX=+1", (None, None, None)),
        (b"LIMITS X=1 RCPTMAX=x RCPTMAX=7", (7, None, None)),
        ("LIMITS RCPTMAX=\u0661".encode(), (None, None, None)),
        (b"RCPTMAX=20", (None, None, None)),
    ],
)
def test_limits_are_numbers_or_not_said(line: bytes, limits: tuple[int | None, ...]) -> None:
    extensions = Extensions.parse(Reply(250, (b"hello", line)))
    assert (extensions.rcptmax, extensions.mailmax, extensions.rcptdomainmax) == limits


def test_what_is_to_be_ignored_is_as_if_it_had_not_been_offered() -> None:
    extensions = Extensions({"SIZE": ("5",), "CHUNKING": (), "PIPELINING": ()})
    assert extensions.without(["chunking", "Size", "X"]) == Extensions({"PIPELINING": ()})
    assert isinstance(extensions.without([]), Extensions)


@pytest.mark.parametrize(("fraction", "is_read"), [(19, True), (20, False)])
def test_the_latest_hold_may_have_40_characters(fraction: int, is_read: bool) -> None:
    moment = f"2026-11-28T06:32:31.{'0' * fraction}Z"
    assert len(moment) == 21 + fraction
    assert (Extensions({"FUTURERELEASE": ("1", moment)}).latest_hold is not None) is is_read
