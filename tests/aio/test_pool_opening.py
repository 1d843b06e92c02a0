import pytest

from mailwire import Endpoint, External, LocalProtocolError, SMTPClient
from mailwire.aio.pool_connections import PooledConnection
from mailwire.aio.pool_opening import PoolOpening
from mailwire.testing import LISTEN, Account, MailServer, Policy, ScriptedPeer, authority_file, server_context
from tests.aio.dialogues import READY

CERTIFICATES = authority_file().parent


async def test_a_connection_that_was_made_when_the_opening_is_aborted_is_cut() -> None:
    async with ScriptedPeer(*READY, LISTEN) as peer:
        opening = PoolOpening(peer.endpoint(), max_transactions=None, max_lifetime=None)

        class Client(SMTPClient):
            async def connect(self) -> None:
                await super().connect()
                opening.abort()

        client = Client(peer.endpoint())
        with pytest.raises(LocalProtocolError, match=r"^the pool is closed: nothing more is sent by it$"):
            await opening.open(PooledConnection(client))
        assert not client.is_connected
        assert opening.opened == 0


async def test_what_is_read_of_files_for_tls_serves_all_connections() -> None:
    account = Account("alice", "", ("alice@example.org",), certificate_name="alice")
    async with MailServer(
        [account],
        policy=Policy(mechanisms=("EXTERNAL",)),
        tls_context=server_context(client_certificates=True),
        implicit_tls=True,
    ) as server:
        endpoint = Endpoint(
            "localhost",
            server.smtp_port,
            tls_ca_file=authority_file(),
            tls_client_certificate=(CERTIFICATES / "alice.pem", CERTIFICATES / "alice-key.pem"),
            auth=External(),
        )
        opening = PoolOpening(endpoint, max_transactions=None, max_lifetime=None)
        for number in (1, 2):
            client = SMTPClient(endpoint)
            await opening.open(PooledConnection(client))
            assert (client.mechanism, opening.opened) == ("EXTERNAL", number)
            await client.quit()
