"""The part of one connection in a run over many messages."""

import asyncio
from email.message import EmailMessage
from unittest.mock import Mock

import pytest

from mailwire import SMTPClient, SMTPPool
from mailwire.aio.consignment import Consignment
from mailwire.aio.pool_connections import PoolConnections, PooledConnection
from mailwire.aio.pool_share import PoolShare
from mailwire.testing import MailServer
from mailwire.testing.turns import turns
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


async def test_a_mail_on_which_its_connection_broke_is_the_first_on_the_next_one_here() -> None:
    whole, woken, connection = consignment(5), Mock(), PooledConnection(SMTPClient("smtp://localhost"))
    first = whole.take()
    assert first is not None
    share = PoolShare(whole, first, SMTPPool("smtp://localhost")._connections, woken)
    assert share.has_first
    share.begin(connection, is_rated=False)
    oldest, second, third = share.take(), share.take(), share.take()
    assert oldest is first
    assert second is not None
    assert third is not None
    assert not share.has_first
    first.tries = 1
    for item in (third, second):
        share.put_back(item)
    assert woken.call_count == 2
    share.put_back(first)
    assert (share.has_first, share.retried) == (True, 1)
    assert woken.call_count == 2
    assert whole.take() is second  # by whoever comes
    share.begin(connection, is_rated=False)
    assert share.retried == 0
    again = share.take()
    assert again is first
    assert not share.has_first
    assert share.take() is third
    # The connection goes, and this time it has not broken on any.
    share.put_back(third)
    share.put_back(first)
    assert (share.has_first, share.retried) == (False, 0)
    assert [whole.take(), whole.take()] == [first, third]


class Client(SMTPClient):
    """One that is not connected, and has had a mail before."""

    transactions = 1


class Share:
    """The share of such a client in a run over thirty mails."""

    def __init__(self) -> None:
        self.whole = Consignment(map(numbered, range(30)), ENVELOPE, order="completion", look_ahead=40)
        first = self.whole.take()
        assert first is not None
        self.connections = PoolConnections(self._client, max_connections=1, max_idle=None, rate=None)
        self.share = PoolShare(self.whole, first, self.connections, lambda: None)
        connection = self.connections.take_at_once()
        assert connection is not None
        self.connection: PooledConnection = connection

    def _client(self) -> SMTPClient:
        return Client("smtp://localhost")

    def taken(self) -> int:
        """Take what is to be had, and return how many mails that is."""
        return sum(1 for _ in iter(self.share.take, None))


async def test_before_there_is_a_connection_the_first_mail_alone_can_be_taken() -> None:
    share = Share()
    assert share.taken() == 1
    share.share.begin(share.connection, is_rated=False)
    assert share.taken() == 29


@pytest.mark.parametrize(
    ("limit", "is_rated", "count"), [(None, False, 30), (4, False, 3), (4, True, 1), (None, True, 1)]
)
async def test_no_more_is_taken_than_the_connection_may_have(limit: int | None, is_rated: bool, count: int) -> None:
    share = Share()
    share.connection.max_transactions = limit
    share.share.begin(share.connection, is_rated=is_rated)
    assert share.taken() == count


async def test_sixteen_are_taken_where_others_wait() -> None:
    share = Share()
    waiting = asyncio.create_task(share.connections.take())
    await turns(1)
    share.share.begin(share.connection, is_rated=False)
    assert share.taken() == 16
    waiting.cancel()
    await asyncio.wait([waiting])
    assert share.taken() == 14


async def test_what_goes_wrong_behind_the_result_of_a_mail_is_no_further_mail() -> None:
    share = Share()
    share.share.begin(share.connection, is_rated=False)
    item = share.share.take()
    assert item is not None
    item.tries = 1
    share.share.finish(item, None)
    share.share.put_back(item)
    assert (share.share.has_first, share.share.retried, share.share.further_parts) == (False, 0, 0)
    assert share.whole.take() is item


async def test_what_was_to_be_the_first_is_given_back_with_the_rest() -> None:
    share = Share()
    share.share.begin(share.connection, is_rated=False)
    items = [share.share.take() for _ in range(4)]
    for item in items[:0:-1]:
        assert item is not None
        item.tries += item.index < 3
        share.share.put_back(item)
    share.share.close()
    share.share.close()
    assert not share.share.has_first
    assert [share.whole.take() for _ in items] == [items[1], items[0], items[2], items[3]]


async def test_the_first_mail_is_taken_though_others_wait_and_there_is_no_room_for_more() -> None:
    share = Share()
    waiting = asyncio.create_task(share.connections.take())
    await turns(1)
    share.share.begin(share.connection, is_rated=True)
    (item,) = iter(share.share.take, None)
    item.tries = 1
    share.share.put_back(item)
    share.share.begin(share.connection, is_rated=True)
    assert list(iter(share.share.take, None)) == [item]
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_over_a_connection_that_is_too_old_the_first_mail_goes_and_no_other() -> None:
    share = Share()
    share.connection.expires = 0.0
    share.share.begin(share.connection, is_rated=False)
    assert share.taken() == 1


async def test_the_recipients_of_a_mail_are_read_for_the_run() -> None:
    share = Share()
    item = share.share.take()
    assert item is not None
    item.message = EmailMessage()
    item.message["To"] = "c@example.org"
    await share.share.read(item)
    assert item.sending is share.share.make_sending(item)
    assert [str(each) for each in item.sending.mailing.envelope.recipients] == ["c@example.org"]
