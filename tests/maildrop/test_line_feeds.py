from hypothesis import given
from hypothesis import strategies as st

from mailwire.maildrop.line_feeds import LineFeeds


@given(st.lists(st.text("a\r\n", max_size=6).map(str.encode), max_size=6))
def test_every_crlf_becomes_a_line_feed_however_it_is_cut(blocks: list[bytes]) -> None:
    feeds = LineFeeds()
    made = b"".join([*map(feeds.feed, blocks), feeds.finish()])

    assert made == b"".join(blocks).replace(b"\r\n", b"\n")
