from hypothesis import given
from hypothesis import strategies as st

from mailwire.maildrop.uid_set import UidSet

_UIDS = st.text("abc", max_size=4)


@given(st.lists(_UIDS), st.integers(0, 100_000), st.lists(_UIDS))
def test_it_has_what_was_added(added: list[str], count: int, asked: list[str]) -> None:
    uids = UidSet(count)
    for uid in added:
        uids.add(uid)
    for _ in uids.sort():
        pass
    assert [uid in uids for uid in asked] == [uid in added for uid in asked]
