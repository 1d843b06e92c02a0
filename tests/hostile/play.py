"""The play of a hostile case, and the judgement on it.

Whatever the case, it holds that

- it ends by itself: with the deadline that the client was given, neither later nor before; and where it was given none,
  by none: the clock stands still;
- no secret is on the wire outside TLS, nor in any error, log, transcript or local variable of ours;
- it takes no more memory than a session needs, however much the server says, and no more work; of a line without end
  it holds less than 64 KiB;
- no turn of the event loop keeps it from others for long;
- nothing is left open or running: no descriptor, no task, no thread, and the event loop has nothing to complain of;
- what ends it is an error of our tree, of the class that is expected; it shows the end of the dialogue, and a copy of
  it is as good as itself;
- every text of the error, the receipt, the log and the transcript can be printed, whatever the server said;
- what the client has said, and got no reply to, is never more than the window that is in force;
- a connection that went wrong is not used again.
"""

import asyncio
import copy
import os
import pickle
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import reduce
from typing import Any, Final

from mailwire import Delivery, Endpoint, MailwireError, Receipt, Transcript
from mailwire.testing import ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.clock import StandingClock
from tests.hostile.case import PASSWORD, Case, Deed, Link, Outcome
from tests.hostile.deeds import Ending, do
from tests.hostile.held import Held
from tests.hostile.memory import Growth
from tests.hostile.watch import Stopwatch, Watch
from tests.sasl.secrecy import CANARY, assert_hidden, spellings
from tests.waiting import Loop
from tests.watched_peer import WatchedPeer
from tests.window import POP3_WINDOW, SMTP_WINDOW, POP3Dialogue, SMTPDialogue, WatchedDialogue

__all__ = ["can_count_descriptors", "play"]

# Seconds. Where the clock is not ours to stop, a case that takes longer hangs.
_GUARD: Final = 60.0
# In how many steps the time passes in a case that is about time.
_TICKS: Final = 60
# Octets that a peer says at a time, at most, and counts when all of them have left.
_PIECE: Final = 24 * 1024
# Octets: so much of a line whose end has not come is not held at any time.
_LINE: Final = 64 * 1024
# Octets that streams read ahead before a client has them: twice their limit, and what came with the last of it.
_READ_AHEAD: Final = 2 * 64 * 1024
# How a record of a handshake begins (RFC 8446 5.1).
_HANDSHAKE: Final = b"\x16\x03"
# Where the system lists what a process has open.
_DESCRIPTORS: Final = "/dev/fd"


async def play(case: Case, deed: Deed, link: Link, read_log: Callable[[], str]) -> int:
    """Play `case` in the running event loop, and judge what came of it. `read_log` returns what was logged so far.

    Returns by how many octets the most that the process had has grown.
    """
    complaints: list[Mapping[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    threads_before = threading.active_count()
    await _warm_up()
    open_before = _open_descriptors()
    transcript = Transcript(limit=None)
    watch = loop.waiter if isinstance(loop, Loop) and isinstance(loop.waiter, Watch) else None
    clock = StandingClock() if watch is not None else None
    guard = _GUARD if clock is None else None
    # What is taken of a server that goes on and on can be told by small buffers. At a port it has those of the system,
    # from which as much comes at a time as a client would read.
    buffer_size = None if link == "port" and case.outcome.taken is not None else case.buffer_size
    listens = link == "port"
    peer = WatchedPeer(_dialogue_of(case), *case.script, listen=listens, guard=guard, buffer_size=buffer_size)
    sequel = WatchedPeer(_dialogue_of(case), *case.sequel, listen=listens, guard=guard)
    async with peer, sequel if case.sequel else nullcontext():
        endpoint = _endpoint_of(peer, case, link)
        later = _endpoint_of(sequel, case, link) if case.sequel else None
        held, memory = Held(), Growth()
        with (
            held.watched(),
            watch.watched() if watch is not None else nullcontext(),
            Stopwatch(of_all_threads=True) as work,
        ):
            doing = asyncio.create_task(do(case, deed, endpoint, later, transcript, peer))
            if clock is not None and case.seconds:
                await _let_pass(case.seconds, clock, doing, peer)
            ending = await doing
            taken, growth = work.seconds, memory.octets
    if not _is_traced():
        assert case.outcome.work is None or taken <= case.outcome.work
        longest = 0 if watch is None else watch.longest_turn
        assert longest <= case.outcome.turn, f"a turn took {longest:.3f} s"
    await drain_events()
    # The threads of the loop's own are its; whoever still waits for one of them, has left a task behind.
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await loop.shutdown_default_executor()
    assert _open_descriptors() == open_before
    assert threading.active_count() == threads_before
    assert not complaints
    assert growth <= case.outcome.growth << 20
    assert held.most < _LINE
    if case.outcome.taken is not None and link != "port":
        before = _READ_AHEAD if link == "streams" and not peer.wire else 0
        assert peer.sent + _PIECE <= case.outcome.taken + before
    _judge(case.outcome, ending, transcript)
    _judge_wire(case.outcome, peer)
    if case.sequel:
        assert sequel.heard == case.outcome.under_tls_later
    shown = (transcript.render(), read_log(), str(ending.receipt), repr(ending.receipt))
    # What a server says is escaped wherever it is shown: nothing but our own line ends is left that moves a terminal.
    assert all(line.isprintable() for text in shown for line in text.split("\n"))
    for secret in (CANARY, *case.outcome.hidden):
        _judge_secrecy(secret, ending.error, transcript, repr(endpoint), *shown)
    return growth


def _dialogue_of(case: Case) -> WatchedDialogue:
    protocol = case.settings["protocol"]
    if protocol == "pop3":
        return POP3Dialogue(*POP3_WINDOW)
    return SMTPDialogue(*SMTP_WINDOW, lmtp=protocol == "lmtp")


def _endpoint_of(peer: ScriptedPeer, case: Case, link: Link) -> Endpoint:
    settings = {"auth": PASSWORD, **case.settings}
    if link == "streams":
        settings["connect"] = peer.connect_streams
    return peer.endpoint(**settings)


async def _warm_up() -> None:
    # What an event loop opens for itself when it first has a connection, or a file to read, it opens now.
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.abort()
        await drain_events()
    await asyncio.to_thread(os.getpid)


async def _let_pass(seconds: float, clock: StandingClock, doing: "asyncio.Task[Ending]", peer: ScriptedPeer) -> None:
    await peer.rest()  # here the client is where it waits in vain
    await drain_events()
    for _ in range(_TICKS - 1):
        await _tick(seconds / _TICKS, clock)
        assert not doing.done(), "the deadline has not passed, and it is over"
    for _ in range(2):
        await clock.advance(seconds / _TICKS)
    assert doing.done(), "the deadline has passed, and it goes on"


async def _tick(seconds: float, clock: StandingClock) -> None:
    # As Clock.advance, where all has happened that happens before.
    clock.jump(seconds)
    await drain_events()


# What came of it


def _judge(outcome: Outcome, ending: Ending, transcript: Transcript) -> None:
    assert tuple(ending.messages) == outcome.messages
    assert (ending.listed, ending.last_uid) == (outcome.listed, outcome.last_uid)
    assert ending.told is None or outcome.told is None or ending.told == outcome.told
    assert {*ending.failed} == {*outcome.failed}
    assert all(re.search(reason, ending.failed[uid]) for uid, reason in outcome.failed.items())
    assert ending.broken_off == outcome.broken_off
    assert ending.fates == outcome.fates
    assert ending.settled == outcome.settled
    if ending.is_about_mail:
        assert ending.receipt is not None
        _judge_receipt(outcome, ending.receipt)
    error = ending.error
    if error is None:
        assert outcome.error is None
        return
    assert type(error) is outcome.error, repr(error)
    assert error.delivery is (outcome.delivery if ending.is_about_mail else None)
    for path, value in outcome.attributes.items():
        assert reduce(getattr, path.split("."), error) == value, path
    assert re.search(outcome.text, str(error))
    assert all(text.isprintable() for text in (str(error), repr(error), *error.transcript))
    assert error.transcript == transcript.tail()
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(copied), str(copied), _own(copied)) == (type(error), str(error), _own(error))


def _own(error: MailwireError) -> dict[str, object]:
    # A run's report holds the error in turn, and no error is equal to its copy.
    return {name: value for name, value in vars(error).items() if name != "report"}


def _judge_receipt(outcome: Outcome, receipt: Receipt) -> None:
    words = tuple(entry.delivery for entry in receipt.recipients)
    assert receipt.delivery is outcome.delivery
    assert words == (outcome.words or (outcome.delivery,) * len(words))
    assert tuple(entry.address for entry in receipt.deferred) == outcome.deferred
    not_sent = [entry.address for entry in receipt.recipients if entry.delivery is Delivery.NOT_SENT]
    assert sorted(entry.address for entry in receipt.retryable) == sorted([*not_sent, *outcome.deferred])


def _judge_wire(outcome: Outcome, peer: ScriptedPeer) -> None:
    assert peer.wire.startswith(outcome.in_clear)
    assert peer.heard.startswith(outcome.in_clear)
    on_wire, heard = (bytes(octets[len(outcome.in_clear) :]) for octets in (peer.wire, peer.heard))
    if outcome.message and not on_wire.startswith(_HANDSHAKE):
        assert outcome.message.startswith(on_wire)
        return
    assert not on_wire or on_wire.startswith(_HANDSHAKE)
    if outcome.hello is not None:
        assert bool(on_wire) is outcome.hello
    # A server that makes no handshake hears the client's part of it as it is.
    if outcome.message:
        assert heard.startswith(outcome.under_tls)
        assert outcome.message.startswith(heard.removeprefix(outcome.under_tls))
    else:
        assert heard == (on_wire if heard.startswith(_HANDSHAKE) else outcome.under_tls)
    assert not [spelling for spelling in spellings(CANARY) if spelling.encode() in peer.wire]


def _judge_secrecy(secret: str, error: MailwireError | None, transcript: Transcript, *shown: str) -> None:
    shown += (transcript.render(), repr(list(transcript)))
    if error is not None:
        shown += error.transcript
        assert_hidden(secret, error)
    assert_hidden(secret, *shown)


def _is_traced() -> bool:
    # Whether somebody looks on, such as a measurer of coverage, and takes several times the time that the work takes.
    monitoring = getattr(sys, "monitoring", None)  # since Python 3.12
    return sys.gettrace() is not None or (monitoring is not None and monitoring.get_tool(monitoring.COVERAGE_ID))


def can_count_descriptors() -> bool:
    """Return whether the system lists what this process has open."""
    return _open_descriptors() is not None


def _open_descriptors() -> int | None:
    try:
        return len(os.listdir(_DESCRIPTORS))
    except FileNotFoundError:
        return None
