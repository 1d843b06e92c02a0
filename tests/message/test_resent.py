import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage
from mailwire.message.resent import newest_resent_block

LETTERS = {
    "F": "Resent-From",
    "S": "Resent-Sender",
    "T": "Resent-To",
    "C": "Resent-Cc",
    "B": "Resent-Bcc",
    "D": "Resent-Date",
    "M": "Resent-Message-ID",
    "r": "Received",
    "f": "From",
    "t": "To",
    "s": "Subject",
    "x": "X-Mailer",
}

ORIGINAL = [
    *("Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References"),
    *("Subject", "Comments", "Keywords"),
]


def newest(letters: str) -> str | None:
    """The newest set among fields, each written as a letter; their values are their places."""
    block = newest_resent_block([(LETTERS[letter], place) for place, letter in enumerate(letters)])
    if block is None:
        return None
    first = block[0][1]
    assert [place for _, place in block] == list(range(first, first + len(block)))
    return letters[first : first + len(block)]


@pytest.mark.parametrize("letters", ["", "f", "rft"])
def test_a_message_that_was_not_resent_has_no_set(letters: str) -> None:
    assert newest(letters) is None


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("FTft", "FT"),
        ("rFTrft", "FT"),
        ("ftFT", "FT"),
        ("DFMTft", "DFMT"),
        ("T", "T"),  # what it lacks, the envelope will say
        ("FrTft", "F"),
        ("FTrFTCft", "FT"),
        ("rFTxrFTxft", "FT"),
        ("ftsFTx", "FT"),
        ("FTFT", "FT"),
        ("FTFTFT", "FT"),
        ("DFTDFT", "DFT"),
        ("FTDFTD", "FTD"),
        ("FDMTFDMT", "FDMT"),
        ("FTDMFT", "FT"),  # whether Date and Message-ID are the former's or the latter's does not matter
    ],
)
def test_the_newest_set_is_the_topmost(letters: str, expected: str) -> None:
    assert newest(letters) == expected


@pytest.mark.parametrize("letters", ["FTCFT", "SFTBSFT", "FTSFT", "FTCTF", "FTT", "FFT", "TTF", "FTF", "DDFT"])
def test_where_a_set_ends_must_be_clear(letters: str) -> None:
    with pytest.raises(
        InvalidMessage,
        match=r"^the message was resent more than once, and it is not clear which Resent- fields belong together: "
        r"give the sender and the recipients explicitly$",
    ):
        newest(letters)


@pytest.mark.parametrize("letters", ["FTftsFT", "FTrftFT", "FTxsxB", "rFTrFTfD", "fFTtF"])
def test_behind_the_fields_of_the_message_a_set_may_have_been_appended_that_is_newer(letters: str) -> None:
    with pytest.raises(InvalidMessage, match=r"not clear which Resent- fields belong together: "):
        newest(letters)


@pytest.mark.parametrize("name", [*ORIGINAL, "SUBJECT"])
def test_each_field_of_the_message_itself_is_known(name: str) -> None:
    fields = ["Resent-From", "Resent-To", name, "Resent-To"]
    with pytest.raises(InvalidMessage, match="not clear which"):
        newest_resent_block([(each, None) for each in fields])


@given(st.lists(st.text("FSTCBDM", min_size=1, max_size=5), min_size=1, max_size=4))
def test_of_sets_that_were_prepended_the_first_is_found_or_none(sets: list[str]) -> None:
    sets = ["".join(dict.fromkeys(letters)) for letters in sets]
    sets = [letters for letters in sets if "F" in letters and set("TCB") & set(letters)]
    if not sets:
        return
    try:
        found = newest("".join(sets))
    except InvalidMessage:
        return
    decisive = set("FSTCB")
    assert [letter for letter in found or "" if letter in decisive] == [
        letter for letter in sets[0] if letter in decisive
    ]


def test_a_flood_of_fields_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="more than 500 Resent- fields in a row"):
        newest("FT" * 251)
    assert newest("FT" * 250) == "FT"
