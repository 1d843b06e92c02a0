"""Dialogue: an SMTP machine and its session, as commands that are answered; each wait has its deadline."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Final, Literal

from ..endpoint import Chunking
from ..errors import ConnectionLost, DeadlineExceeded, NotSupported, ReplyError, ServiceNotAvailable
from ..message import MessagePolicy
from ..message.outgoing import Terms
from ..smtp import (
    Auth,
    BdatLast,
    Command,
    Connection,
    Data,
    EndOfData,
    Event,
    Group,
    GroupsAnswered,
    Quit,
    Reply,
    ReplyReceived,
    Rset,
    ServerClosing,
)
from ..smtp.states import SPOILED
from .authentication import login_refusal
from .deadline import late
from .session import Session

if TYPE_CHECKING:
    from ..smtp.shortcut import Shortcut
    from .plain_mail import Form

__all__ = ["Answer", "Dialogue", "raise_refusal", "refusal_of"]

Answer = ReplyReceived | GroupsAnswered
"""What a transaction takes (`Transaction.receive`)."""


# The Timeouts that hold for them; for others that of a command does.
_PHASES: Final[dict[type, str]] = {Data: "data", EndOfData: "verdict", BdatLast: "verdict", Quit: "quit"}


class Dialogue:
    """What is said over `session`, by the machine `connection`."""

    def __init__(self, session: Session[Event], connection: Connection) -> None:
        self.session = session
        session.loss = _loss
        self.connection = connection
        self.transactions = 0  # that were begun
        self.recipient_domains: set[str] = set()  # that were named in them
        self.distrusts_chunking = False  # the server is known to be bad at it
        self.knows_ehlo = True  # the server does, or has not been asked yet
        self.time: Callable[[], float] = session.time  # the clock
        self._timeouts = timeouts = session.endpoint.timeouts
        self._patience_for: dict[type, float | None] = {kind: getattr(timeouts, _PHASES[kind]) for kind in _PHASES}
        self.patience: float | None = _seconds(timeouts.command)
        """For how many seconds the answers to the beginning of a mail are waited for, None if for any time..."""
        self.verdict_patience: float | None = _seconds(timeouts.verdict)
        """...and that to its end."""
        self.overdue: Callable[[], DeadlineExceeded] = self._overdue
        """Returns the error for what is due and has not come in time."""
        self.past: Shortcut | None = None
        """The mail whose answers are waited for, if it takes a shortcut."""
        self.form: Form | None = None
        """How the last plain mail went, or could not go; see `form_of`."""
        self._terms: Terms | None = None  # for the last mail
        self._subject = _Awaited(connection)
        # What was waited for last, and until when it may be.
        self._awaited: object = None
        self._until: float | None = None

    def terms_for(self, policy: MessagePolicy, utf8: bool, /) -> Terms:
        """Return the Terms for mails like that: the same as for the last one, if they are. Raises NotSupported."""
        terms, offered = self._terms, self.connection.extensions
        if terms is None or not (terms.extensions is offered and terms.policy is policy and terms.utf8 is utf8):
            terms = self._terms = Terms.of(policy, self.connection.offered, utf8=utf8)
        return terms

    def chunking_for(self, choice: Chunking, *, is_binary: bool = False) -> bool | Literal["eager"]:
        """Return whether a message goes in chunks, as it is this `choice`, or that of the endpoint.

        is_binary: it is to be sent as it is. Raises NotSupported for such a one where chunks are switched off.
        """
        if choice is None:
            choice = self.session.endpoint.use_chunking
        if is_binary and choice is False:
            raise NotSupported("what is sent as it is must go in chunks, which are switched off", extension="CHUNKING")
        if "CHUNKING" not in self.connection.offered.names:
            return False
        return is_binary or not self.distrusts_chunking if choice is None else choice

    async def ask(self, command: Command[object]) -> Reply:
        """Send `command` and return its reply. Raises what `raise_refusal` raises."""
        self.session.expect_silence()
        self.connection.send(command)
        received = await self.next_answer()
        if isinstance(received, GroupsAnswered):
            raise AssertionError("a command that is sent alone is answered alone")
        if received.command is not command:
            raise AssertionError(f"{command} is not asked before {received.command} is answered")
        raise_refusal(received)
        return received.reply

    async def log_in(self, command: Auth) -> Reply:
        """Send `command`, lead its exchange and return the reply. Raises AuthenticationFailed if that is a refusal.

        Where it was we who could not go on, the dialogue is over: who sent what led to that, is not asked again.
        """
        try:
            return await self.ask(command)
        except ReplyError as error:
            if command.exchange.failure is not None:
                self.connection.give_up()
            raise login_refusal(str(command), command.exchange, error.reply) from error

    async def next_answer(self) -> Answer:
        """Return the next reply that is due, or those to a whole group. Raises what `Session.next_event` raises,
        ConnectionLost for a server that leaves though it was asked nothing, between two chunks of a message."""
        session = self.session
        event = await session.next_event(self._phase(self.connection.due), "the reply to", self._subject)
        return _answer_in(event)

    @property
    def has_news(self) -> bool:
        """Whether `heard` may have something to tell."""
        return self.connection.has_news or self.session.stream.has_news

    def heard(self) -> Answer | None:
        """Return what `next_answer` does if it has come already. Raises what `next_answer` raises."""
        session = self.session
        if self.connection.has_news:
            event = session.poll()
        elif session.stream.has_news:
            event = session.read()
        else:
            return None
        if event is None:
            return None
        self._awaited = None
        return event if type(event) is GroupsAnswered else _answer_in(event)

    def wait_for(self, group: Group) -> Coroutine[object, object, None]:
        """Do what `wait` does where all that is awaited are the answers to `group`, which begins a mail or ends it."""
        self.count_for(group, None)
        return self.session.stream.wait(self._until, self.overdue)

    def arrival_for(self, group: Group, since: float | None) -> Awaitable[None]:
        """Return what is to be awaited for the answers to `group`, which was written at the time `since`, or now, where
        nothing has come yet; for who looks then what has, if anything (`Stream.arrival`)."""
        self.count_for(group, since)
        return self.session.stream.arrival(self._until, self.overdue)

    def wait(self) -> Coroutine[object, object, None]:
        """Wait until `heard` may have something to tell, or the stream was nudged. Raises DeadlineExceeded."""
        awaited = self.connection.due
        if self._awaited is not awaited or awaited is None:  # a part of a reply puts nothing off
            seconds: float | None = getattr(self._timeouts, self._phase(awaited))
            self._awaited, self._until = awaited, None if seconds is None else self.time() + seconds
        return self.session.stream.wait(self._until, self.overdue)

    def count_for(self, group: Group, since: float | None) -> None:
        """Find out until when `group` may be waited for, which was written at the time `since`, or now, if that was not
        done: as `wait` does, but that what holds for it is looked up."""
        if self._awaited is not group:
            seconds = self._patience_for.get(group.awaited, self._timeouts.command)
            until: float | None = None
            if seconds is not None:
                until = seconds + (self.time() if since is None else since)
            self._awaited, self._until = group, until

    def _overdue(self) -> DeadlineExceeded:
        awaited = self.connection.due if self.past is None else self.past.awaited
        subject = self._subject if self.past is None else awaited
        phase = self._phase(awaited)
        return late(getattr(self._timeouts, phase), phase, f"the reply to {subject}")

    def _phase(self, awaited: Command[object] | Group | None) -> str:
        # RFC 5321 4.5.3.2: which of the Timeouts holds.
        kind = awaited.awaited if isinstance(awaited, Group) else type(awaited)
        connection = self.connection
        # A server may answer all commands of a flight together, when it is done with the last of them.
        is_rest = isinstance(awaited, Rset) and awaited.is_afterwards and not connection.awaits_several
        if is_rest or connection.state is SPOILED:
            return "reset"  # a refusal is known: what is to come only puts the session in order
        return _PHASES.get(kind, "command")


def _seconds(timeout: float | None) -> float | None:
    # An int that is added to a float again and again takes longer.
    return None if timeout is None else float(timeout)


class _Awaited:
    # The command that is awaited, for those who want to say so.

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __str__(self) -> str:
        return str(self._connection.awaited)


def _answer_in(event: Event) -> Answer:
    if type(event) is GroupsAnswered or type(event) is ReplyReceived:
        return event
    raise _loss("the server left in the middle of a dialogue", event)


def _loss(what: str, event: Event) -> ConnectionLost:
    if isinstance(event, ServerClosing):
        return ServiceNotAvailable(f"{what}: {event}", command="", reply=event.reply)
    return ConnectionLost(f"{what}: {event}")


def raise_refusal(received: ReplyReceived) -> None:
    """Raise ReplyError if what was received is a refusal; ServiceNotAvailable if it is 421."""
    if received.reply.code >= 400:
        raise refusal_of(received)


def refusal_of(received: ReplyReceived, what: str = "") -> ReplyError:
    """Return the error for what was received, which is a refusal, or by which the server takes its leave; with `what`
    for its text, if that is no refusal."""
    command, reply = str(received.command), received.reply
    kind = ServiceNotAvailable if reply.code == 421 else ReplyError
    return kind(what or f"{command} was refused: {reply}", command=command, reply=reply)
