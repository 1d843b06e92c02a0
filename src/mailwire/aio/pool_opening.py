"""PoolOpening: how the connections of a pool are opened, and what they may then be used for."""

import asyncio

from ..endpoint import Endpoint
from ..errors import LocalProtocolError
from .pool_connections import PooledConnection
from .session import make_context

__all__ = ["PoolOpening", "pool_closed"]


def pool_closed() -> LocalProtocolError:
    """Return the error for who asks something of a pool that is closed."""
    return LocalProtocolError("the pool is closed: nothing more is sent by it")


class PoolOpening:
    """Opens connections to `endpoint`, for `max_transactions` and `max_lifetime` seconds at most, until `abort`."""

    def __init__(self, endpoint: Endpoint, *, max_transactions: int | None, max_lifetime: float | None) -> None:
        self.opened: int = 0
        self.is_aborted: bool = False
        self._endpoint = endpoint  # with a TLS context, once it was made
        self._max_transactions = max_transactions
        self._max_lifetime = max_lifetime
        self._opening: set[asyncio.Timeout] = set()

    async def open(self, connection: PooledConnection) -> None:
        """Connect `connection`, again if it was cut. Raises what `SMTPClient.connect` raises, and LocalProtocolError
        once it is aborted."""
        client = connection.client
        if connection.sessions:
            await asyncio.sleep(0)  # the socket of the one before is closed by now
        self.refuse_if_aborted()
        try:
            async with asyncio.timeout(None) as opening:  # until abort() says so
                self._opening.add(opening)
                try:
                    client.endpoint = await self._prepared_endpoint()
                    await client.connect()
                finally:
                    self._opening.discard(opening)
        except TimeoutError:
            self.refuse_if_aborted()
            raise
        try:
            self.refuse_if_aborted()
        except LocalProtocolError:
            client.abort()
            raise
        self.take_note(connection)

    def take_note(self, connection: PooledConnection) -> None:
        """Take note of the sessions that were begun over `connection`: a client begins another by itself in the middle
        of a mail, where the server's limits want it (RFC 9422)."""
        client = connection.client
        self.opened += client._sessions - connection.sessions
        connection.sessions = client._sessions
        limits = [limit for limit in (self._max_transactions, client.extensions.mailmax) if limit is not None]
        connection.max_transactions = min(limits, default=None)
        if self._max_lifetime is not None:
            connection.expires = client._since + self._max_lifetime

    def abort(self) -> None:
        """Break off all that are being opened, and open no more."""
        self.is_aborted = True
        while self._opening:
            self._opening.pop().reschedule(asyncio.get_running_loop().time())

    def refuse_if_aborted(self) -> None:
        """Raise LocalProtocolError if it is aborted."""
        if self.is_aborted:
            raise pool_closed()

    async def _prepared_endpoint(self) -> Endpoint:
        # To read the authorities of the system takes longer than a handshake. Once is enough.
        endpoint = self._endpoint
        if endpoint.tls != "none" and endpoint.tls_context is None:
            context = await make_context(endpoint)
            endpoint = endpoint.replace(tls_context=context, tls_ca_file=None, tls_client_certificate=None)
            self._endpoint = endpoint
        return endpoint
