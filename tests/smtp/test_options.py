import copy
import pickle
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.errors import NotSupported, SecurityError
from mailwire.smtp import Mail, Mailbox, Rcpt
from mailwire.smtp.extensions import Extensions
from mailwire.smtp.options import DeliverBy, MailOptions, OriginalRecipient, RecipientOptions, ValidSince
from tests.clock import ClocksAreSetBack

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
EAST = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
LATEST = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
EARLIEST = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
A = Mailbox("a", "example.org")

MAIL: list[tuple[MailOptions, Mapping[str, str | None], str]] = [
    (MailOptions(ret="FULL"), {"RET": "FULL"}, "DSN"),
    (MailOptions(ret="HDRS"), {"RET": "HDRS"}, "DSN"),
    (MailOptions(envelope_id="QQ314159"), {"ENVID": "QQ314159"}, "DSN"),
    (MailOptions(envelope_id="a b=c+d"), {"ENVID": "a+20b+3Dc+2Bd"}, "DSN"),
    (MailOptions(deliver_by=DeliverBy(120)), {"BY": "120;R"}, "DELIVERBY"),
    (MailOptions(deliver_by=DeliverBy(120, trace=True)), {"BY": "120;RT"}, "DELIVERBY"),
    (MailOptions(deliver_by=DeliverBy(-5, "notify")), {"BY": "-5;N"}, "DELIVERBY"),
    (MailOptions(deliver_by=DeliverBy(0, "notify", trace=True)), {"BY": "0;NT"}, "DELIVERBY"),
    (MailOptions(hold_for=3600), {"HOLDFOR": "3600"}, "FUTURERELEASE"),
    (MailOptions(hold_until=NOON), {"HOLDUNTIL": "2026-11-26T12:00:00Z"}, "FUTURERELEASE"),
    (MailOptions(hold_until=EAST), {"HOLDUNTIL": "2026-11-26T12:00:00Z"}, "FUTURERELEASE"),
    (MailOptions(priority=-9), {"MT-PRIORITY": "-9"}, "MT-PRIORITY"),
    (MailOptions(priority=0), {"MT-PRIORITY": "0"}, "MT-PRIORITY"),
    (MailOptions(priority=9), {"MT-PRIORITY": "9"}, "MT-PRIORITY"),
    (MailOptions(require_tls=True), {"REQUIRETLS": None}, "REQUIRETLS"),
    (MailOptions(auth=""), {"AUTH": "<>"}, "AUTH"),
    (MailOptions(auth="e=mc2@example.org"), {"AUTH": "e+3Dmc2@example.org"}, "AUTH"),
    (MailOptions(auth=Mailbox("a b", "c")), {"AUTH": '"a+20b"@c'}, "AUTH"),
    (MailOptions(parameters={"XVERP": None}, extensions=["XVERP"]), {"XVERP": None}, "XVERP"),
    (MailOptions(parameters={"SIZE": "5"}), {"SIZE": "5"}, "SIZE"),
    (MailOptions(parameters={"body": "8BITMIME"}), {"body": "8BITMIME"}, "8BITMIME"),
]
RCPT: list[tuple[RecipientOptions, Mapping[str, str | None], str]] = [
    (RecipientOptions(notify="never"), {"NOTIFY": "NEVER"}, "DSN"),
    (RecipientOptions(notify=["DELAY", "success", "FAILURE"]), {"NOTIFY": "SUCCESS,FAILURE,DELAY"}, "DSN"),
    (RecipientOptions(notify="FAILURE"), {"NOTIFY": "FAILURE"}, "DSN"),
    (RecipientOptions(original_recipient="a+b@c"), {"ORCPT": "rfc822;a+2Bb@c"}, "DSN"),
    (RecipientOptions(original_recipient="é@c"), {"ORCPT": r"utf-8;\x{E9}@c"}, "DSN"),
    (RecipientOptions(original_recipient=OriginalRecipient("a=b", "x400")), {"ORCPT": "x400;a+3Db"}, "DSN"),
    (RecipientOptions(valid_since=NOON), {"RRVS": "2026-11-26T12:00:00Z"}, "RRVS"),
    (RecipientOptions(valid_since=ValidSince(EAST, "reject")), {"RRVS": "2026-11-26T12:00:00Z;R"}, "RRVS"),
    (RecipientOptions(valid_since=ValidSince(EAST, "continue")), {"RRVS": "2026-11-26T12:00:00Z;C"}, "RRVS"),
    (RecipientOptions(parameters={"XRCPT": "1"}, extensions=["X"]), {"XRCPT": "1"}, "X"),
]


@pytest.mark.parametrize(("options", "parameters", "extension"), [*MAIL, *RCPT])
def test_a_wish_is_a_parameter_and_needs_an_extension(
    options: MailOptions | RecipientOptions, parameters: Mapping[str, str | None], extension: str
) -> None:
    assert options.as_parameters() == parameters
    offered = Extensions({extension.lower(): ()})
    secured = {"is_secured": True} if isinstance(options, MailOptions) else {}
    options.requires(offered, **secured)
    with pytest.raises(NotSupported, match=f"the server does not offer {extension}, and the mail needs it") as missing:
        options.requires(Extensions({"X-OTHER": ()}), **secured)
    assert missing.value.extension == extension


@pytest.mark.parametrize(("options", "parameters", "extension"), [*MAIL, *RCPT])
def test_options_are_values(
    options: MailOptions | RecipientOptions, parameters: Mapping[str, str | None], extension: str
) -> None:
    for twin in (replace(options), copy.deepcopy(options), pickle.loads(pickle.dumps(options))):
        assert twin == options
        assert hash(twin) == hash(options)
        assert twin.as_parameters() == parameters


def test_who_wishes_nothing_needs_nothing() -> None:
    for options in (MailOptions(), RecipientOptions()):
        assert options.as_parameters() == {}
        options.requires(Extensions())


def test_wishes_stand_in_one_command() -> None:
    options = MailOptions(ret="HDRS", envelope_id="1", deliver_by=DeliverBy(9), hold_for=5, priority=2, auth="a@b")
    assert (
        Mail(A, options.as_parameters()).encode()
        == b"MAIL FROM:<a@example.org> RET=HDRS ENVID=1 BY=9;R HOLDFOR=5 MT-PRIORITY=2 AUTH=a@b\r\n"
    )
    recipient = RecipientOptions(notify="DELAY", original_recipient="é@b", valid_since=NOON, parameters={"X": None})
    assert (
        Rcpt(A, recipient.as_parameters(utf8=True)).encode()
        == "RCPT TO:<a@example.org> NOTIFY=DELAY ORCPT=utf-8;é@b RRVS=2026-11-26T12:00:00Z X\r\n".encode()
    )


def test_an_original_recipient_in_ascii_has_one_form() -> None:
    options = RecipientOptions(original_recipient="a b@c")
    assert options.as_parameters(utf8=True) == options.as_parameters() == {"ORCPT": "rfc822;a+20b@c"}
    utf8 = RecipientOptions(original_recipient=OriginalRecipient("a\\b@c", "UTF-8"))
    assert utf8.as_parameters(utf8=True) == utf8.as_parameters() == {"ORCPT": r"UTF-8;a\x{5C}b@c"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: MailOptions(ret="full"),  # type: ignore[arg-type]
        lambda: MailOptions(envelope_id=""),
        lambda: MailOptions(envelope_id="a\r\nRSET"),
        lambda: MailOptions(envelope_id="é"),
        lambda: MailOptions(envelope_id="a" * 101),
        lambda: MailOptions(envelope_id=" " * 34),
        lambda: DeliverBy(0),
        lambda: DeliverBy(-1, "return"),
        lambda: DeliverBy(10**9),
        lambda: DeliverBy(-(10**9), "notify"),
        lambda: DeliverBy(1, "bounce"),  # type: ignore[arg-type]
        lambda: MailOptions(hold_for=0),
        lambda: MailOptions(hold_for=10**9),
        lambda: MailOptions(hold_for=1, hold_until=NOON),
        lambda: MailOptions(hold_until=NOON.replace(tzinfo=None)),
        lambda: MailOptions(priority=10),
        lambda: MailOptions(priority=-10),
        lambda: MailOptions(auth="a b@c"),
        lambda: MailOptions(auth="a@b\r\nRSET"),
        lambda: MailOptions(auth="é@b"),
        lambda: MailOptions(auth=Mailbox("a", "é.org")),
        lambda: MailOptions(parameters={"X": "a b"}),
        lambda: MailOptions(ret="FULL", parameters={"RET": "HDRS"}),
        lambda: MailOptions(ret="FULL", parameters={"ret": "HDRS"}),
        lambda: RecipientOptions(notify=()),
        lambda: RecipientOptions(notify=""),
        lambda: RecipientOptions(notify=["NEVER", "DELAY"]),
        lambda: RecipientOptions(notify="ALWAYS"),
        lambda: RecipientOptions(notify="DELAY\r\nRSET"),
        lambda: RecipientOptions(original_recipient=""),
        lambda: RecipientOptions(original_recipient="a\r\nRSET"),
        lambda: RecipientOptions(original_recipient="a\0"),
        lambda: RecipientOptions(original_recipient="a" * 494),
        lambda: RecipientOptions(original_recipient="é" * 84),
        lambda: OriginalRecipient("a", "rfc 822"),
        lambda: OriginalRecipient("a", "x;y"),
        lambda: OriginalRecipient("é", "rfc822"),
        lambda: OriginalRecipient("\ud800"),
        lambda: RecipientOptions(valid_since=NOON.replace(tzinfo=None)),
        lambda: ValidSince(NOON, "maybe"),  # type: ignore[arg-type]
        lambda: RecipientOptions(valid_since=NOON, parameters={"RRVS": "1"}),
    ],
)
def test_what_no_server_could_be_asked_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (MailOptions, {"envelope_id": 5}, "envelope_id to be text or None, got 5 (int)"),
        (MailOptions, {"deliver_by": 120}, "deliver_by to be a DeliverBy or None, got 120 (int)"),
        (MailOptions, {"hold_until": "noon"}, "the moment to hold a mail until to be a datetime, got 'noon' (str)"),
        (MailOptions, {"require_tls": "no"}, "require_tls to be True or False, got 'no' (str)"),
        (MailOptions, {"require_tls": None}, "require_tls to be True or False, got None (NoneType)"),
        (MailOptions, {"auth": b"a"}, "auth to be a Mailbox, text or None, got b'a' (bytes)"),
        (RecipientOptions, {"notify": 1}, "notify to be text, an iterable of it or None, got 1 (int)"),
        (RecipientOptions, {"notify": [1]}, "a condition to be notified of to be text, got 1 (int)"),
        (
            RecipientOptions,
            {"original_recipient": A},
            f"original_recipient to be an OriginalRecipient, text or None, got {A!r} (Mailbox)",
        ),
        (RecipientOptions, {"valid_since": 0}, "valid_since to be a ValidSince, a datetime or None, got 0 (int)"),
        (OriginalRecipient, {"address": None}, "an original recipient to be text, got None (NoneType)"),
        (OriginalRecipient, {"address": "a", "type": None}, "an address type to be text, got None (NoneType)"),
        (ValidSince, {"moment": 0}, "the moment since which a recipient is valid to be a datetime, got 0 (int)"),
        (DeliverBy, {"seconds": 1, "trace": "no"}, "trace to be True or False, got 'no' (str)"),
        (DeliverBy, {"seconds": 1, "otherwise": []}, '"return" or "notify", got []'),
        (ValidSince, {"moment": NOON, "otherwise": []}, '"reject", "continue" or None, got []'),
    ],
)
def test_what_is_of_another_kind_is_refused(
    kind: Callable[..., object], settings: Mapping[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'expected {words}')}$"):
        kind(**settings)


@pytest.mark.parametrize("kind", [MailOptions, RecipientOptions])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"parameters": "X=1"}, "expected parameters to be a mapping of names to text or None, got 'X=1' (str)"),
        ({"parameters": {1: "x"}}, "expected a parameter name to be text, got 1 (int)"),
        ({"parameters": {"XFOO": 3}}, "expected the value of XFOO to be text or None, got 3 (int)"),
        ({"parameters": 5}, "expected parameters to be a mapping of names to text or None, got 5 (int)"),
        ({"parameters": None}, "expected parameters to be a mapping of names to text or None, got None (NoneType)"),
        ({"extensions": 3}, "expected extensions to be a collection of keywords, got 3 (int)"),
        ({"extensions": "XFOO"}, "extensions are a collection; one alone is [keyword]"),
        ({"extensions": [3]}, "expected a keyword in extensions to be text, got 3 (int)"),
    ],
)
def test_parameters_of_ones_own_are_text(
    kind: Callable[..., object], settings: Mapping[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        kind(**settings)


def test_extensions_are_read_once() -> None:
    for kind in (MailOptions, RecipientOptions):
        assert kind(extensions=iter(["XFOO", "XBAR"])).extensions == ("XFOO", "XBAR")  # type: ignore[arg-type]


TIMELESS = NOON.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeliverBy(0), "the seconds to deliver by must be from 1 to 999999999, got 0"),
        (
            lambda: DeliverBy(-(10**9), "notify"),
            "the seconds to deliver by must be from -999999999 to 999999999, got -1000000000",
        ),
        (lambda: DeliverBy(1, "bounce"), 'expected "return" or "notify", got \'bounce\''),  # type: ignore[arg-type]
        (lambda: MailOptions(hold_for=0), "the seconds to hold a mail for must be from 1 to 999999999, got 0"),
        (
            lambda: MailOptions(hold_for=1, hold_until=NOON),
            "a mail is held for some time or until some time, not both",
        ),
        (
            lambda: MailOptions(hold_until=TIMELESS),
            f"the moment to hold a mail until must have a time zone, got {TIMELESS!r}",
        ),
        (lambda: MailOptions(priority=10), "a priority must be from -9 to 9, got 10"),
        (lambda: MailOptions(priority=True), "a priority must be a whole number, got True"),
        (lambda: MailOptions(hold_for=1.5), "the seconds to hold a mail for must be a whole number, got 1.5"),  # type: ignore[arg-type]
        (lambda: DeliverBy(5.5), "the seconds to deliver by must be a whole number, got 5.5"),  # type: ignore[arg-type]
        (
            lambda: MailOptions(hold_until=LATEST),
            f"the moment to hold a mail until must be a date in UTC as well, got {LATEST!r}",
        ),
        (
            lambda: ValidSince(EARLIEST),
            f"the moment since which a recipient is valid must be a date in UTC as well, got {EARLIEST!r}",
        ),
        (lambda: MailOptions(auth="é@b"), "AUTH= has no way to say an address beyond ASCII, got 'é@b'"),
        (lambda: MailOptions(ret="full"), 'expected "FULL" or "HDRS", got \'full\''),  # type: ignore[arg-type]
        (lambda: MailOptions(envelope_id=""), "an envelope id is printable ASCII, and not empty, got ''"),
        (lambda: MailOptions(envelope_id="é"), "an envelope id is printable ASCII, and not empty, got 'é'"),
        (
            lambda: MailOptions(envelope_id="a\r"),
            "an envelope id must not hold control characters (CR, LF, NUL, ...), got b'a\\r'",
        ),
        (
            lambda: MailOptions(envelope_id="a" * 200),
            f"an envelope id has at most 100 characters as xtext, got {'a' * 120!r}",
        ),
        (
            lambda: RecipientOptions(notify=()),
            'expected "NEVER" or any of SUCCESS, FAILURE, DELAY to be notified of, got nothing',
        ),
        (
            lambda: RecipientOptions(notify=["never", "delay"]),
            'expected "NEVER" or any of SUCCESS, FAILURE, DELAY to be notified of, got DELAY, NEVER',
        ),
        (lambda: OriginalRecipient(""), "expected an original recipient, got an empty one"),
        (
            lambda: OriginalRecipient("a\n"),
            "an original recipient must not hold control characters (CR, LF, NUL, ...), got b'a\\n'",
        ),
        (lambda: OriginalRecipient("a", "x;y"), "expected an address type such as rfc822, got 'x;y'"),
        (
            lambda: OriginalRecipient("é", "rfc822"),
            "an original recipient beyond ASCII is of type utf-8, not rfc822",
        ),
        (lambda: OriginalRecipient("a" * 494), "an original recipient has at most 500 characters, got 501"),
        (
            lambda: ValidSince(TIMELESS),
            f"the moment since which a recipient is valid must have a time zone, got {TIMELESS!r}",
        ),
        (
            lambda: ValidSince(NOON, "maybe"),  # type: ignore[arg-type]
            'expected "reject", "continue" or None, got \'maybe\'',
        ),
    ],
)
def test_a_refusal_says_what_was_expected(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        make()
    assert str(refusal.value) == message


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
def test_a_moment_is_said_in_universal_time_wherever_we_are() -> None:
    assert MailOptions(hold_until=EAST).as_parameters() == {"HOLDUNTIL": "2026-11-26T12:00:00Z"}
    assert str(ValidSince(EAST)) == "2026-11-26T12:00:00Z"


def test_an_hour_that_comes_twice_is_two_hours() -> None:
    # A connection keeps what it has found out about a mail's options for the next mail with equal ones.
    zone = ClocksAreSetBack()
    once, again = (datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1))
    assert once == again
    assert MailOptions(hold_until=once) != MailOptions(hold_until=again)
    assert MailOptions(hold_until=once).as_parameters() == {"HOLDUNTIL": "2026-10-25T00:30:00Z"}
    assert MailOptions(hold_until=again).as_parameters() == {"HOLDUNTIL": "2026-10-25T01:30:00Z"}
    assert ValidSince(once) != ValidSince(again)


def test_as_much_as_the_standards_allow_is_allowed() -> None:
    assert str(DeliverBy(1)) == "1;R"
    assert str(DeliverBy(999_999_999)) == "999999999;R"
    assert str(DeliverBy(0, "notify")) == "0;N"
    assert str(DeliverBy(-999_999_999, "notify")) == "-999999999;N"
    MailOptions(hold_for=1)
    MailOptions(priority=-9)
    MailOptions(priority=9)
    MailOptions(envelope_id="a" * 100)
    MailOptions(envelope_id=" " * 33)
    MailOptions(hold_for=999_999_999)
    RecipientOptions(original_recipient="a" * 493)
    RecipientOptions(original_recipient="é" * 82)


# What a server announces together with an extension


@pytest.mark.parametrize(
    ("words", "options", "granted"),
    [
        (("240",), MailOptions(deliver_by=DeliverBy(240)), True),
        (("240",), MailOptions(deliver_by=DeliverBy(239)), False),
        (("240",), MailOptions(deliver_by=DeliverBy(1, "notify")), True),
        ((), MailOptions(deliver_by=DeliverBy(1)), True),
        (("soon",), MailOptions(deliver_by=DeliverBy(1)), True),
    ],
)
def test_the_least_time_to_deliver_in_is_obeyed(words: tuple[str, ...], options: MailOptions, granted: bool) -> None:
    offered = Extensions({"DELIVERBY": words})
    if granted:
        options.requires(offered)
        return
    with pytest.raises(
        NotSupported, match=r"^delivery within 239 s was asked for, and the server grants at least 240 s$"
    ) as no:
        options.requires(offered)
    assert no.value.extension == "DELIVERBY"


@pytest.mark.parametrize(
    ("words", "options", "granted"),
    [
        (("86400", "2026-11-26T12:00:00Z"), MailOptions(hold_for=86400), True),
        (("86400", "2026-11-26T12:00:00Z"), MailOptions(hold_for=86401), False),
        (("86400", "2026-11-26T12:00:00Z"), MailOptions(hold_until=NOON), True),
        (("86400", "2026-11-26T17:30:00+05:30"), MailOptions(hold_until=NOON), True),
        (("86400", "2026-11-26T12:00:00Z"), MailOptions(hold_until=NOON + timedelta(seconds=1)), False),
        (("86400",), MailOptions(hold_until=NOON), True),
        ((), MailOptions(hold_for=999_999_999), True),
        (("some", "day"), MailOptions(hold_until=NOON), True),
        (("some", "2026-11-26T11:00:00"), MailOptions(hold_until=NOON), True),
        (("some", "2026-11-26T11:00:00." + "0" * 100 + "Z"), MailOptions(hold_until=NOON), True),
    ],
)
def test_the_longest_time_to_be_held_is_obeyed(words: tuple[str, ...], options: MailOptions, granted: bool) -> None:
    offered = Extensions({"FUTURERELEASE": words})
    if granted:
        options.requires(offered)
        return
    with pytest.raises(
        NotSupported,
        match=r"^(a mail held for 86401 s was asked for, and the server grants at most 86400 s"
        r"|a mail held until 2026-11-26 12:00:01\+00:00 was asked for, "
        r"and the server holds none beyond 2026-11-26 12:00:00\+00:00)$",
    ) as no:
        options.requires(offered)
    assert no.value.extension == "FUTURERELEASE"


@pytest.mark.parametrize(
    "options",
    [
        MailOptions(require_tls=True),
        MailOptions(parameters={"REQUIRETLS": None}),
        MailOptions(parameters={"X": "y", "RequireTLS": None}),
    ],
)
def test_requiretls_without_tls_is_refused_whatever_is_offered(options: MailOptions) -> None:
    options.requires(Extensions({"REQUIRETLS": ()}), is_secured=True)
    for offered in (Extensions(), Extensions({"REQUIRETLS": ()})):
        with pytest.raises(
            SecurityError, match=r"^REQUIRETLS needs TLS with a server that has proved its name, and there is none$"
        ):
            options.requires(offered)


def test_a_binary_body_needs_chunks_as_well() -> None:
    options = MailOptions(parameters={"BODY": "BINARYMIME"})
    options.requires(Extensions({"BINARYMIME": (), "CHUNKING": ()}))
    for lacking in ("BINARYMIME", "CHUNKING"):
        with pytest.raises(NotSupported) as missing:
            options.requires(
                Extensions({name: () for name in ("BINARYMIME", "CHUNKING", "8BITMIME") if name != lacking})
            )
        assert missing.value.extension == lacking


texts = st.text(max_size=30) | st.text(st.sampled_from("a ;=+<>@\r\n\0é,"), max_size=10)


@given(texts, texts, texts)
def test_any_text_is_one_line_or_a_value_error(envelope_id: str, auth: str, original: str) -> None:
    for make in (
        lambda: Mail(A, MailOptions(envelope_id=envelope_id).as_parameters()),
        lambda: Mail(A, MailOptions(auth=auth).as_parameters()),
        lambda: Rcpt(A, RecipientOptions(original_recipient=original).as_parameters()),
        lambda: Rcpt(A, RecipientOptions(original_recipient=original).as_parameters(utf8=True)),
        lambda: Rcpt(A, RecipientOptions(notify=original).as_parameters()),
    ):
        try:
            line = make().encode()
        except ValueError:
            continue
        assert line.count(b" ") == 2
        assert line.count(b"=") == 1
        assert line.endswith(b"\r\n")
        assert not set(line[:-2]) & set(range(0x20)) - {0x20}
