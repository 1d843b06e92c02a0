import pytest

from mailwire import LocalProtocolError, SMTPClient
from mailwire.aio.pool_connections import PooledConnection
from mailwire.aio.pool_opening import PoolOpening
from mailwire.testing import LISTEN, ScriptedPeer
from tests.aio.dialogues import READY


async def test_a_connection_that_was_made_when_the_opening_is_aborted_is_cut() -> None:
    async with ScriptedPeer(*READY, LISTEN) as peer:
        opening = PoolOpening(peer.endpoint(), max_transactions=None, max_lifetime=None)

        class Client(SMTPClient):
            async def connect(self) -> None:
                await super().connect()
                opening.abort()

        client = Client(peer.endpoint())
        with pytest.raises(LocalProtocolError, match="the pool is closed"):
            await opening.open(PooledConnection(client))
        assert not client.is_connected
        assert opening.opened == 0
