"""Under uvloop everything is as it is under asyncio's own loop: the flows of `tests.faults`, whole, cut and cancelled.

More is tried where there is more to go wrong: pools in `test_pool_loops`, servers of bad intent in `tests/hostile`.
"""

import asyncio
import gc
import importlib
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Delivery, MailwireError
from mailwire.maildrop import SQLiteLedger
from mailwire.testing import (
    STALL,
    Account,
    Cut,
    FaultProxy,
    MailServer,
    RecordingProxy,
    ScriptedPeer,
    client_context,
    server_context,
)
from tests.faults.flows import FLOWS, STORED, Flow, Run, judge, make_server
from tests.integration.conftest import demand_libraries

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org"]}


def under_uvloop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    demand_libraries("uvloop")
    with asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop) as runner:
        runner.run(main())
    gc.collect()  # a transport or socket that was left open would complain now


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_the_same(name: str) -> None:
    flow = FLOWS[name]

    async def main() -> None:
        async with make_server(flow, server_context() if flow.is_encrypted else None) as server:
            await whole(flow, server)
        for octets in (90, 700):
            async with make_server(flow, server_context() if flow.is_encrypted else None) as server:
                await cut(flow, server, octets)
        for turns in (3, 17):
            async with make_server(flow, server_context() if flow.is_encrypted else None) as server:
                await cancelled(flow, server, turns)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    under_uvloop(main)


def host(flow: Flow) -> str:
    return "localhost" if flow.is_encrypted else "127.0.0.1"


async def whole(flow: Flow, server: MailServer) -> None:
    run = Run(flow.endpoint(flow.port(server), host=host(flow)))
    await flow.play(run)
    assert [receipt.delivery for receipt in run.receipts.values()] == [Delivery.ACCEPTED] * flow.mails
    if not flow.mails:
        assert run.got == STORED
        assert run.committed == run.marked
    judge(flow, run, server, is_intact=True)


async def cut(flow: Flow, server: MailServer, octets: int) -> None:
    async with FaultProxy(flow.port(server), [[Cut(octets, of="client" if flow.mails else "server")]]) as proxy:
        run = Run(flow.endpoint(proxy.port, host=host(flow)))
        try:
            await flow.play(run)
        except MailwireError:
            assert proxy.connections[0].was_cut
        await proxy.wait_idle()
    judge(flow, run, server, is_intact=True)


async def cancelled(flow: Flow, server: MailServer, turns: int) -> None:
    run = Run(flow.endpoint(flow.port(server), host=host(flow)))
    task = asyncio.ensure_future(flow.play(run))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await server.wait_idle()
    judge(flow, run, server, is_intact=True)


def test_a_file_goes_to_a_unix_socket_and_a_maildrop_into_a_maildir(tmp_path: Path) -> None:
    (tmp_path / "message.eml").write_bytes(MESSAGE * 5000)

    async def main() -> None:
        account = Account("b", "secret", ("b@example.org",))
        path = str(tmp_path / "lmtp")
        async with MailServer([account], tls_context=server_context(), lmtp_path=path) as server:
            receipt = await mailwire.send(tmp_path / "message.eml", f"lmtp+unix://{path}", **ENVELOPE)
            assert receipt.delivery is Delivery.ACCEPTED
            endpoint = mailwire.Endpoint.parse(
                f"pop3+starttls://b:secret@localhost:{server.pop3_port}", tls_context=client_context()
            )
            async with SQLiteLedger(tmp_path / "state.db") as ledger:
                for stored in (1, 0):
                    into = mailwire.Maildir(tmp_path / "Mail")
                    report = await mailwire.retrieve(endpoint, into=into, ledger=ledger)
                    assert len(report.stored) == stored
        (file,) = (tmp_path / "Mail" / "new").iterdir()
        assert file.read_bytes() == MESSAGE * 5000

    under_uvloop(main)


@pytest.mark.parametrize("link", ["socket", "streams"])
def test_a_connection_of_the_callers_is_spoken_over(link: str) -> None:
    async def main() -> None:
        async with MailServer([Account("b", "", ("b@example.org",))], tls_context=server_context()) as server:

            async def connect() -> Any:
                if link == "streams":
                    return await asyncio.open_connection("127.0.0.1", server.smtp_port)
                connected = socket.create_connection(("127.0.0.1", server.smtp_port))
                connected.setblocking(False)
                return connected

            endpoint = mailwire.Endpoint("localhost", tls="starttls", tls_context=client_context(), connect=connect)
            await mailwire.send(MESSAGE, endpoint, **ENVELOPE)
            assert server.smtp_sessions[0].is_encrypted

    under_uvloop(main)


def test_a_recording_ends_where_a_server_goes_to_which_the_client_talks_on() -> None:
    async def talk_on(client: socket.socket) -> None:
        with suppress(ConnectionError):
            while True:
                await asyncio.get_running_loop().sock_sendall(client, b"NOOP\r\n" * 5)
                await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            context = client_context()
            for turns in range(40):
                async with RecordingProxy("127.0.0.1", listener.getsockname()[1], tls_context=context) as proxy:
                    with socket.socket() as client:
                        client.setblocking(False)
                        await loop.sock_connect(client, (proxy.host, proxy.port))
                        server, _ = await loop.sock_accept(listener)
                        talking = asyncio.create_task(talk_on(client))
                        for _ in range(turns % 8 + 3):
                            await asyncio.sleep(0)
                        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        server.close()
                        await proxy.wait_idle()
                        talking.cancel()
                        await asyncio.wait([talking])

    under_uvloop(main)


def test_a_server_can_be_left_while_a_client_is_to_begin_tls() -> None:
    async def main() -> None:
        async with MailServer(tls_context=server_context()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.smtp_port)
            writer.write(b"STARTTLS\r\n")
            await reader.readuntil(b"Begin TLS now\r\n")
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", server.pop3_port)
        assert await other_reader.read() != b""
        for each in (writer, other_writer):
            each.transport.abort()

    under_uvloop(main)


def test_a_deadline_ends_a_wait() -> None:
    async def main() -> None:
        async with ScriptedPeer("S: 220 hi", "C: EHLO ...", STALL, lenient=True) as peer:
            endpoint = peer.endpoint(timeouts=mailwire.Timeouts(command=0.05))
            with pytest.raises(mailwire.DeadlineExceeded, match="EHLO"):
                await mailwire.send(MESSAGE, endpoint, **ENVELOPE)

    under_uvloop(main)


def test_no_descriptor_is_left() -> None:
    async def main() -> None:
        async with make_server(FLOWS["STARTTLS"], server_context()) as server:
            await whole(FLOWS["STARTTLS"], server)

    under_uvloop(main)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    under_uvloop(main)
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after == before


def test_a_server_in_the_loop_serves_many_clients_over_tls_at_once() -> None:
    async def main() -> None:
        account = Account("b", "", ("b@example.org",))
        async with MailServer([account], tls_context=server_context(), implicit_tls=True) as server:
            endpoint = mailwire.Endpoint("localhost", server.smtp_port, tls_context=client_context())
            receipts = await asyncio.gather(*(mailwire.send(MESSAGE, endpoint, **ENVELOPE) for _ in range(6)))
        assert [receipt.delivery for receipt in receipts] == [Delivery.ACCEPTED] * 6

    under_uvloop(main)
