from mailwire.maildrop.portions import PORTION, portions


def test_items_come_a_thousand_at_a_time() -> None:
    assert PORTION == 1_000
    assert [len(portion) for portion in portions(range(2_001))] == [1_000, 1_000, 1]
    assert list(portions("abc")) == [["a", "b", "c"]]
    assert list(portions(())) == []
