"""The part of one connection in a run over many messages."""

from mailwire import SMTPClient, SMTPPool
from mailwire.aio.consignment import Consignment
from mailwire.aio.pool_share import PoolShare
from mailwire.testing import MailServer
from tests.aio.pools import ACCOUNTS, ENVELOPE, endpoint_of, numbered


def consignment(count: int) -> Consignment:
    return Consignment([numbered(number) for number in range(count)], ENVELOPE, order="completion", look_ahead=10)


def share_of(whole: Consignment, pool: SMTPPool) -> PoolShare:
    first = whole.take()
    assert first is not None
    return PoolShare(whole, first, pool._connections, lambda: None)


async def test_what_is_left_when_a_share_is_closed_is_given_back_with_what_is_known_of_it() -> None:
    whole = consignment(2)
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        share = share_of(whole, SMTPPool(endpoint_of(server)))
        begun = share.take()
        assert begun is not None
        sending = share.make_sending(begun)
        await sending.prepare(client._talk)
        batch = sending.next_batch(client._talk)
        assert batch is not None
        sending.begin(client._talk, batch)
        share.close()
        assert not whole.has_result
        assert whole.take() is begun
        # Nothing of it is sent again.
        assert whole.make_sending(begun) is sending
        assert sending.next_batch(client._talk) is None
        share = share_of(whole, SMTPPool(endpoint_of(server)))
        untouched = share.take()
        share.close()
        assert whole.take() is untouched
        client.abort()  # what was begun is not answered


async def test_nothing_is_waited_for_where_nothing_more_will_come() -> None:
    whole = consignment(1)
    assert whole.take() is not None
    await whole.wait()
