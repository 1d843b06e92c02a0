import asyncio
import poplib
import smtplib
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from mailwire.testing import FIN, STALL, WAIT, Account, Cut, FaultProxy, InThread, MailServer, ScriptedPeer

ALICE = Account("alice", "secret", ("alice@example.org",))


def test_a_server_serves_programs_that_block() -> None:
    threads = threading.active_count()
    hosting = InThread(MailServer([ALICE]))
    with hosting as server:
        with smtplib.SMTP(server.host, server.smtp_port) as smtp:
            smtp.sendmail("bob@example.org", ["alice@example.org"], b"Subject: x\r\n\r\nhello\r\n")
        hosting.run(server.wait_idle())
        [message] = server.messages("alice")
        assert message.content == b"Subject: x\r\n\r\nhello\r\n"
        pop = poplib.POP3(server.host, server.pop3_port)
        pop.user("alice")
        pop.pass_("secret")
        assert pop.retr(1)[1] == [b"Subject: x", b"", b"hello"]
        pop.quit()
        # In any event loop, for who has one.
        asyncio.run(server.wait_idle())
    assert [bytes(line) for line in server.smtp_sessions[0].commands][-1].lower() == b"quit"
    assert threading.active_count() == threads


def test_a_proxy_cuts_connections_of_programs_that_block() -> None:
    with InThread(MailServer([ALICE])) as server, InThread(FaultProxy(server.smtp_port, [[Cut(0)]])) as proxy:
        with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
            smtplib.SMTP(proxy.host, proxy.port)
        asyncio.run(proxy.wait_idle())
        assert proxy.connections[0].was_cut


def say(port: int, said: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(10)
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        heard = b""
        while octets := client.recv(4096):
            heard += octets
        return heard


@pytest.mark.parametrize("error", [None, KeyError("of the program")])
def test_what_the_end_raises_keeps_its_cause_unless_the_program_has_failed(error: Exception | None) -> None:
    cause = OSError("of the end")

    @asynccontextmanager
    async def served() -> AsyncIterator[None]:
        with suppress(KeyError):
            yield
        raise AssertionError("of the end") from cause

    def run() -> None:
        with InThread(served()):
            if error is not None:
                raise error

    with pytest.raises(AssertionError, match="of the end") as caught:
        run()
    assert caught.value.__cause__ is (error or cause)


def test_a_peer_plays_its_script_to_a_program_that_blocks() -> None:
    script = ("S: 220 hi", "C: QUIT", WAIT, "S: 221 bye")
    early = ScriptedPeer(*script, listen=True)
    early.go_on()
    with InThread(early) as peer, InThread(ScriptedPeer(*script, listen=True)) as other:
        other.go_on()
        for each in (peer, other):
            assert say(each.port, b"QUIT\r\n") == b"220 hi\r\n221 bye\r\n"
    assert peer.commands == ["QUIT"]


def test_a_peer_whose_client_says_something_else_fails_the_test() -> None:
    with (
        pytest.raises(AssertionError, match="expected the client to say 'QUIT', it said 'NOOP'"),
        InThread(ScriptedPeer("S: 220 hi", "C: QUIT", listen=True)) as peer,
    ):
        say(peer.port, b"NOOP\r\n")


def test_what_fails_a_test_already_is_told_behind_what_the_peer_says_of_it() -> None:
    mistake = ValueError("of the test")

    def fail(port: int) -> None:
        say(port, b"NOOP\r\n")
        raise mistake

    with (
        pytest.raises(AssertionError, match="it said 'NOOP'") as caught,
        InThread(ScriptedPeer("S: 220 hi", "C: QUIT", listen=True)) as peer,
    ):
        fail(peer.port)
    assert caught.value.__cause__ is mistake


def test_what_fails_a_test_is_raised_as_it_is() -> None:
    mistake = ValueError("of the test")
    with pytest.raises(ValueError, match="of the test") as caught, InThread(MailServer([ALICE])):
        raise mistake
    assert caught.value is mistake
    assert caught.value.__cause__ is None
    assert all("in_thread" not in str(entry.path) or "test" in str(entry.path) for entry in caught.traceback)


def test_a_peer_that_loses_its_patience_frees_a_program_that_blocks() -> None:
    def wait_in_vain(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"EHLO c\r\n")
            heard = b""
            while octets := client.recv(4096):
                heard += octets
            assert heard == b"220 hi\r\n"

    with (
        pytest.raises(TimeoutError),
        InThread(ScriptedPeer("S: 220 hi", "C: EHLO c", STALL, "C: QUIT", listen=True, guard=0.2)) as peer,
    ):
        wait_in_vain(peer.port)


def test_who_cannot_begin_says_why() -> None:
    @asynccontextmanager
    async def unlucky() -> AsyncIterator[None]:
        raise OSError("no port")
        yield

    with pytest.raises(OSError, match="no port"), InThread(unlucky()):
        raise AssertionError("nothing was begun")


def test_it_is_used_once() -> None:
    hosting = InThread(ScriptedPeer(FIN, listen=True, lenient=True))
    with hosting as peer:
        assert say(peer.port, b"") == b""
    with pytest.raises(RuntimeError):
        hosting.__enter__()


def test_what_a_coroutine_raises_is_raised() -> None:
    async def fail() -> None:
        raise KeyError("x")

    hosting = InThread(MailServer())
    with hosting, pytest.raises(KeyError):
        hosting.run(fail())


def test_a_coroutine_is_run_within_the_with_and_from_another_thread() -> None:
    async def run_again() -> None:
        hosting.run(server.wait_idle())

    hosting = InThread(MailServer())
    with pytest.raises(RuntimeError, match="from within the `with`, and from another thread"):
        hosting.run(run_again())
    with hosting as server, pytest.raises(RuntimeError, match="from another thread"):
        hosting.run(run_again())
    with pytest.raises(RuntimeError, match="from within the `with`"):
        hosting.run(run_again())
