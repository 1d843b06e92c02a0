"""A POP3 server whose maildrop tells what is true, and the comparison of it with what a client says.

The server can be cut: behind so many octets of all that it says, or that it hears, the connection ends. What it has
heard by then it has done, be its answer lost or not. Whoever connects again finds it whole.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from mailwire import CommitReport, Endpoint, Password, POP3Client, Retrieval
from mailwire.pop3 import Entry
from mailwire.testing import Account, Maildrop, POP3Server, Quirk
from tests.aio.interruptions import SERVING
from tests.window import POP3_WINDOW, POP3Dialogue

__all__ = ["MAIL", "Cut", "Record", "TrueServer", "judge"]

MAIL = {f"u{number}": b"Subject: %d\r\n\r\n..\r\n.\r\n" % number for number in range(1, 4)}

Word = Literal["committed", "refused", "unknown", "kept"]


@dataclass(frozen=True)
class Cut:
    """Where the connection ends.

    octets: behind so many...
    speaker: ...of what this side says.
    is_reset: whether it ends by RST; otherwise by FIN.
    """

    octets: int
    speaker: Literal["server", "client"] = "server"
    is_reset: bool = False


class TrueServer:
    """The server, over a maildrop of its own.

    streams: whether the client is given a pair of streams, and not a socket.
    window: of the client; it fails the test whose client has more unanswered.
    was_cut: whether the connection has ended where `cut` says.
    """

    def __init__(
        self, quirk: Quirk, cut: Cut | None = None, *, streams: bool = False, window: tuple[int, int] = POP3_WINDOW
    ) -> None:
        self.maildrop = Maildrop([Account("bob", "secret")])
        for uid, message in MAIL.items():
            self.maildrop.put("bob", message, uid=uid)
        self.was_cut = False
        self._quirk = quirk
        self._cut = cut
        self._streams = streams
        self._window = window
        self._passed = 0  # octets of the one who is cut
        self._serving: list[asyncio.Task[None]] = []

    @property
    def uids(self) -> set[str]:
        """The unique ids of what is there."""
        return {message.uid for message in self.maildrop.messages("bob")}

    def client(self) -> POP3Client:
        """Return a client that comes here."""
        return POP3Client(
            Endpoint(
                "localhost",
                protocol="pop3",
                tls="none",
                auth=Password("bob", "secret"),
                allow_cleartext_auth=True,
                connect=self._connect_streams if self._streams else self._connect,
            )
        )

    def mend(self) -> None:
        """Cut nobody any more."""
        self._cut = None

    async def drop(self) -> None:
        """End every connection."""
        for serving in self._serving:
            serving.cancel()
        faults = await asyncio.gather(*self._serving, return_exceptions=True)
        self._serving.clear()
        assert not [fault for fault in faults if isinstance(fault, AssertionError)]

    async def wait_idle(self) -> None:
        """Wait until every client is gone."""
        await asyncio.gather(*self._serving)

    async def _connect(self) -> socket.socket:
        client, ours = _tcp_pair() if self._cut is not None and self._cut.is_reset else socket.socketpair()
        self._serving.append(asyncio.create_task(self._serve(ours), name=SERVING))
        return client

    async def _connect_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(sock=await self._connect())

    async def _serve(self, end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        end.setblocking(False)
        session = POP3Server(self.maildrop, quirk=self._quirk)
        dialogue = POP3Dialogue(*self._window)
        with end:
            try:
                while True:
                    said = self._pass("server", b"".join(session.data_to_send()))
                    dialogue.say(said)
                    await loop.sock_sendall(end, said)
                    if session.closing or self._ends_here():
                        break
                    heard = await loop.sock_recv(end, 64 * 1024)
                    if not heard:
                        break
                    dialogue.hear(heard)
                    session.receive_data(self._pass("client", heard))
            except OSError:
                pass  # the client is gone
            finally:
                session.receive_eof()
                if self._ends_here():
                    self.was_cut = True
                    if self._cut is not None and self._cut.is_reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _pass(self, speaker: str, octets: bytes) -> bytes:
        if self._cut is None or speaker != self._cut.speaker or self.was_cut:
            return octets
        octets = octets[: self._cut.octets - self._passed]
        self._passed += len(octets)
        return octets

    def _ends_here(self) -> bool:
        return self._cut is not None and not self.was_cut and self._passed >= self._cut.octets


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


# What a client does, and what it says of it


@dataclass
class Record:
    """What a client has done: the messages that it has `got` to their ends, its `runs`, and its commits' `reports`."""

    got: dict[str, bytes] = field(default_factory=dict)
    runs: list[Retrieval] = field(default_factory=list)
    reports: list[CommitReport] = field(default_factory=list)


def words_of(reports: Iterable[CommitReport]) -> dict[str, Word]:
    """The last word on each message."""
    words: dict[str, Word] = {}
    for report in reports:
        of_each: tuple[tuple[Iterable[Entry], Word], ...] = (
            *((report.committed, "committed"), (report.refused, "refused")),
            *((report.unknown, "unknown"), (report.kept, "kept")),
        )
        for entries, word in of_each:
            words.update({entry.uid or "": word for entry in entries})
    return words


async def judge(server: TrueServer, client: POP3Client, record: Record) -> dict[str, Word]:
    """Compare what `client`, which has ended its session, says with what is true; return what it says in the end."""
    await server.wait_idle()
    reports = [*record.reports, *(report for run in record.runs for report in run.commits)]
    words = words_of([*reports, *filter(None, [client.last_commit])])
    gone = MAIL.keys() - server.uids
    assert {uid for uid, word in words.items() if word == "committed"} <= gone, "said to be deleted, and there"
    assert not {uid for uid, word in words.items() if word in ("refused", "kept")} & gone, "said to be kept, and gone"
    assert gone <= {uid for uid, word in words.items() if word in ("committed", "unknown")}, "gone, and nobody says so"
    assert all(record.got[uid] == MAIL[uid] for uid in record.got), "not what it was"
    # The next listing settles what is in doubt.
    server.mend()
    await client.connect()
    listed = {entry.uid for entry in await client.listing()}
    client.abort()
    await server.wait_idle()
    assert listed == server.uids == MAIL.keys() - gone
    settled = words_of([*reports, *filter(None, [client.last_commit])])
    assert settled.keys() == words.keys()
    assert {uid for uid, word in settled.items() if word == "committed"} == gone
    assert "unknown" not in settled.values()
    return words
