"""A target: the reading of SMTP replies."""

from mailwire import RemoteProtocolError
from mailwire.smtp.reply import Reply, ReplyReader
from tests.fuzzing.pieces import Cutter, is_safe, kind_of, octets, whole

__all__ = ["run"]


def run(data: bytes, cut: Cutter = octets) -> None:
    """Read `data`: the same replies and the same error come of it however it arrives, and what is shown is one line."""
    replies, error, rest = _read(data, whole)
    assert (replies, error, rest) == _read(data, cut)
    for reply in replies:
        assert 200 <= reply.code <= 599
        assert not any(b"\n" in line or b"\0" in line for line in reply.lines)
        assert is_safe(str(reply))
        assert all(map(is_safe, reply.shown()))
        if reply.enhanced_code is not None:
            assert reply.lines[-1].startswith(b"%d." % (reply.code // 100))


def _read(data: bytes, cut: Cutter) -> tuple[list[Reply], str, bool]:
    reader, replies = ReplyReader(), list[Reply]()
    try:
        for piece in cut(data):
            reader.feed(piece)
            while (reply := reader.next_reply()) is not None:
                replies.append(reply)
    except RemoteProtocolError as error:
        return replies, kind_of(error), True
    assert is_safe(reader.quote_rest())
    return replies, "", bool(reader)
