"""Connection: an SMTP client as a machine, without I/O (RFC 5321).

Bytes in, events out; commands in, bytes out. The laws it keeps:

1. What may be sent is looked up in the table of `states`, in the state to which everything said so far will lead if
   all of it is accepted. A call that is refused changes nothing.
2. `state` moves when an event is handed out, never before. Events are taken one at a time.
3. A reply answers the oldest command in flight. A reply that answers nothing is a fault of the server, except 421.
4. A server's "no" is an event. A server's fault raises, once, and closes the machine for good: what is in flight then
   is unresolved for ever, and can be read.
5. Nothing that a reply has made illegal leaves afterwards: it is discarded, and the event says so.

6. Chunks of a message (BDAT) leave in a window of their own octets, and only to a server that takes chunks.

How to drive it: write what `data_to_send()` returns; feed what is read to `receive_data`, the end of it to
`receive_eof`; after either, take events until `next_event()` returns None; write again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from .._wire.pipeline import LOCKSTEP, Window
from .._wire.text import check_line, command_expected, octets_of
from .._wire.trace import Elided, Trace
from ..errors import LocalProtocolError, MailwireError, RemoteProtocolError
from ..sasl.challenges import Challenges
from .answers import Answers
from .commands import Auth, Bdat, Command, Data, EndOfData, Greeting, Mail, Rcpt, Rset
from .events import ConnectionClosed, Event, ReplyReceived
from .extensions import Extensions
from .group import Group, Replies
from .group_kind import VERDICT
from .grouped_pipeline import GroupedPipeline
from .mail_data import Chunks, Text, Verdicts
from .message_writing import MessageWriting
from .opening import Opening, Wishes
from .parameters import Parameters
from .reply import Reply, ReplyReader
from .rules import STRAY, Begun, check_spelling, loss, objection
from .states import CLOSED, READY, TRANSITIONS, State, transition

__all__ = ["PIPELINING_WINDOW", "Connection"]

# Postfix bounds what is unanswered to 4 KiB of commands, for a server with small buffers may stop reading until its
# replies are read (RFC 2920 3.1), and MailKit met servers that choke on several hundred commands at once. Whoever reads
# while it writes cannot come to a stop over buffers; so the window has room for a mail to a hundred recipients with
# ordinary addresses, which then costs one round trip, and is far from where servers choke.
PIPELINING_WINDOW: Final = Window(commands=128, octets=8192)
"""How much is unanswered at a time if nothing else is said: of the octets, those of commands."""

# The commands of every mail: nothing is known of them, and their success moves nothing, but what the table says.
_ORDINARY: Final[frozenset[type]] = frozenset({Mail, Rcpt, Data, Rset})

# What says that they have succeeded.
_DONE: Final = frozenset(range(200, 300)) - STRAY

# Where that leads, by the table.
_EXPECTED: Final[Mapping[tuple[State, type], State]] = {
    (state, kind): row.done for (state, kind), row in TRANSITIONS.items() if kind in _ORDINARY and row.done is not None
}

_NOTHING: Final = Extensions()


def _ignore(_direction: str, _what: object) -> None:
    pass


class Connection(Answers, MessageWriting):
    """One SMTP connection, from its greeting to its end.

    window: how much may be unanswered where the server announces PIPELINING; `LOCKSTEP` switches pipelining off.
    trace: is told everything that is said, in order, with secrets masked.
    lmtp: the server speaks LMTP (RFC 2033): it is greeted with LHLO, and answers a message once for each recipient.
    ignored_extensions: keywords that are taken for not announced, because the server is known to be bad at them.
    groups: let a Transaction's commands go as one group where the server pipelines, and the end of its message as one
        by itself, wherever it may. Replies to them that are all as expected come as one event (GroupsAnswered), with
        those to the mails behind it, which `receive` of each Transaction takes as it takes a ReplyReceived. That saves
        time, and changes nothing else.
    """

    def __init__(
        self,
        *,
        window: Window = PIPELINING_WINDOW,
        trace: Trace = _ignore,
        lmtp: bool = False,
        ignored_extensions: Collection[str] = (),
        groups: bool = False,
    ) -> None:
        self.state: State = State.GREETING
        """Where the session stands."""
        self.ahead: State = State.INITIATION
        """Where everything said so far leads if all of it is accepted."""
        self.greeting: Reply | None = None
        """None until it came, and again once TLS has made it worthless."""
        self.extensions: Extensions | None = None
        """None until EHLO or HELO was accepted, and again after STARTTLS."""
        self.is_lmtp = lmtp
        self.is_authenticated: bool = False
        """Whether AUTH has succeeded."""
        self.is_secured: bool = False
        """Whether TLS is in force..."""
        self.is_verified: bool = False
        """...with a server that has proved its name."""
        self.queued_chunks: int = 0
        """How many chunks have not left yet."""
        self.is_pipelining: bool = False
        """Whether several commands may be unanswered at a time."""
        self.takes_groups: bool = groups
        """Whether a command of a transaction may go as a group by itself..."""
        self.takes_envelopes: bool = False
        """...and an envelope as one, with what is behind it."""
        self.last_group: Group | None = None
        """The one that was queued last; it may have unfolded since."""
        self.lent_to: object = None
        """The Shortcut that goes on past it, the newest if there are two; None if there is none."""
        self.begun: Begun = Begun()
        """The Transactions that are not finished."""
        self.opening: Opening | None = None
        """How the last mail began; None if there was none, or what the server offers has changed since."""
        self.trace: Trace = trace
        """Is told everything that is said. It may be set at any time."""
        self.window: Window = window
        """How much may be unanswered, where the server announces PIPELINING."""
        self._ignored = tuple(ignored_extensions)
        self._pipeline = GroupedPipeline(self._released)
        self._pipeline.expect(Greeting())
        self._reader = ReplyReader()
        self._eof = False
        self._is_cut = False  # on this side
        self.has_news: bool = False
        """Whether something was received, or the end of it, since the last event was asked for in vain."""
        self._holds_part = False  # of a reply, and there are no news
        self._text = Text()  # the message that goes out behind DATA, or went out last
        self._text.is_ended = True
        self._chunks: Chunks | None = None  # the message that goes out in chunks
        self._is_binary = False  # the message announced last
        self._verdicts = Verdicts()
        self._challenges = Challenges(self._pipeline.write, lambda *said: self.trace(*said))

    @property
    def offered(self) -> Extensions:
        """The `extensions`, none where they are not known."""
        return _NOTHING if self.extensions is None else self.extensions

    def awaits_verdict_alone(self, cost: int) -> bool:
        """Whether nothing is queued, to be heard or to be answered but the end of a message, which takes no more than
        that `cost` of the window's octets."""
        if self.ahead is not READY or self.lent_to is not None or self.has_news or self._holds_part:
            return False
        return self._pipeline.octets_of_sole_end <= cost

    # What is unresolved

    @property
    def in_flight(self) -> tuple[Command[object], ...]:
        """The commands that have left and are not answered, the oldest first. They stay when the connection dies."""
        return self._pipeline.in_flight

    @property
    def queued(self) -> tuple[Command[object], ...]:
        """The commands that have not left yet."""
        return self._pipeline.queued

    @property
    def awaited(self) -> Command[object] | None:
        """The command that the server's next words answer, or will answer once it has left; None if none is due."""
        due = self.due
        return due.commands[0] if isinstance(due, Group) else due

    @property
    def due(self) -> Command[object] | Group | None:
        """The command `awaited`, or the group that it begins."""
        due = self._pipeline.due
        return self._text.end if due is None and self.accepts_data else due

    @property
    def is_awaited(self) -> bool:
        """Whether a command `awaited` there is, or it is lent."""
        return self.lent_to is not None or self._pipeline.is_awaited or not self._text.is_ended

    @property
    def is_free(self) -> bool:
        """Whether a mail may go past it (`shortcut`): several commands may leave, and nothing is queued, to be answered
        or to be heard."""
        if not (self.takes_envelopes and self.state is READY and self.ahead is READY):
            return False
        return self.lent_to is None and not (self.has_news or self._holds_part or self._pipeline.is_awaited)

    @property
    def awaits_answer(self) -> bool:
        """Whether a command has left that is not answered yet: else the server has nothing to say."""
        return self._pipeline.awaits_answer

    @property
    def held(self) -> int:
        """How many octets were received that nothing was made of yet: no event, nor a line of an answer that has more.

        Whoever reads no more than there is room for beside them holds no more of a line that never ends.
        """
        return self._reader.size

    @property
    def awaits_several(self) -> bool:
        """Whether something is to be answered, or will be, behind what is `due`."""
        return self._pipeline.unanswered > 1

    @property
    def has_queued(self) -> bool:
        """Whether a command has not left yet; behind `data_to_send` that is one for which there is no room."""
        return self._pipeline.has_queued

    @property
    def accepts_data(self) -> bool:
        """Whether the message may be written: DATA was answered 354, and the message is not ended."""
        return not self._text.is_ended

    @property
    def data_octets(self) -> int:
        """How many octets were written of the message that goes out behind DATA, or went out last so, line ends mended
        and dots added."""
        return self._text.octets

    # Sending

    def send(self, command: Command[object]) -> None:
        """Queue `command`; `data_to_send()` lets it leave when its turn has come.

        Raises LocalProtocolError if it is out of place behind what was said so far, or is for a Transaction to say that
        goes on; ValueError if its line holds a control character, and for what is no command, as a str is none, nor the
        class of one; NotSupported if it is beyond ASCII and the server does not offer SMTPUTF8 (RFC 6531 3.1). In each
        case nothing was changed. What ends a Transaction's mail, as RSET, ends that: it says nothing more.
        """
        if not isinstance(command, Command):
            raise command_expected("smtp.Noop()", command)
        check_spelling(command, self.offered)
        if isinstance(command, (Rcpt, Data)):
            self.begun.refuse(str(command))
        self._say(command)
        if self.ahead is READY or self.ahead is CLOSED:
            self.begun.leave()

    def _say(self, command: Command[object]) -> None:
        kind = type(command)
        row = transition(self.ahead, kind)
        if row is None or (kind not in _ORDINARY and isinstance(command, (Greeting, EndOfData, Bdat))):
            raise LocalProtocolError(f"{command} cannot be sent now: {self._situation()}")
        if kind is not Rcpt:  # to which nothing objects besides the table, and of which there may be thousands
            self._object(command)
        line = check_line(command.encode())
        if kind is not Rcpt:
            self._begin(command)
        self._pipeline.queue(command, line, len(line))
        self.ahead = row.ahead

    def check_at_rest(self) -> None:
        """Raise LocalProtocolError unless a mail transaction can begin that is behind no other."""
        if self.state is not READY or self.is_awaited:
            raise LocalProtocolError(f"no mail transaction can begin now: {self._situation()}")

    def opening_for(self, wishes: Wishes) -> Opening:
        """Return how mails begin for which there are these `wishes`: the same as for the last one, if they are. Raises
        ValueError, NotSupported and SecurityError as `Transaction` does."""
        opening = self.opening
        if opening is None or opening.wishes != wishes:
            opening = self.opening = Opening(
                wishes,
                self.offered,
                is_verified=self.is_verified,
                is_pipelining=self.is_pipelining,
                is_lmtp=self.is_lmtp,
            )
        return opening

    def send_group(self, group: Group) -> None:
        """Queue `group`, the beginning of a transaction: all that is to go together, if the connection
        `takes_envelopes`, or the first of its steps.

        Raises LocalProtocolError where no transaction can begin behind what was said so far.
        """
        if self.ahead is not READY:
            raise LocalProtocolError(f"no mail transaction can begin now: {self._situation()}")
        self._is_binary = group.is_binary
        self._chunks = None
        self.queued_chunks += group.end is not None
        self._pipeline.queue_group(group)
        self.last_group = group
        self.ahead = group.kind.leads_to

    def send_steps(self, steps: Sequence[Group]) -> None:
        """Queue the beginning of a transaction in `steps` (`Group.in_steps`), for a connection that `takes_groups`.
        They leave one by one. Raises LocalProtocolError as `send_group` does."""
        self.send_group(steps[0])
        self._pipeline.queue_steps(steps[1:])
        self.last_group = last = steps[-1]
        self.queued_chunks += last.end is not None
        self.ahead = last.kind.leads_to

    def discard_queued(self, commands: Collection[Command[object]] | None = None) -> tuple[Command[object], ...]:
        """Drop every command that has not left yet, or those of `commands`; return them. An end of data stays.

        A Transaction of which commands are dropped says nothing more, but RSET once all that has left is answered.
        """
        discarded = self._discard(commands)
        self.begun.withdraw(discarded)
        return discarded

    def _discard(self, commands: Collection[Command[object]] | None = None) -> tuple[Command[object], ...]:
        given = None if commands is None else {id(command) for command in commands}
        discarded = self._pipeline.discard_queued(
            lambda command: isinstance(command, EndOfData) or (given is not None and id(command) not in given)
        )
        self._forget_chunks(discarded)
        self._look_ahead()
        return discarded

    def give_up(self) -> tuple[Command[object], ...]:
        """Send nothing more, and hear nothing: the connection can only be cut. Return what had not left yet."""
        return self._close()

    def tls_established(self, *, is_verified: bool = False) -> None:
        """Go on under TLS: the handshake has succeeded, after STARTTLS or, where TLS begins a connection, before the
        greeting.

        is_verified: the server has proved its name (REQUIRETLS asks for that, RFC 8689).

        All that was learnt in the clear is forgotten (RFC 3207 4.2); EHLO is due. Raises LocalProtocolError unless the
        server agreed to STARTTLS or has yet to speak, InjectedData if bytes had come before the handshake.
        """
        begins = self.state is State.GREETING and isinstance(self._pipeline.oldest, Greeting)
        if not begins and self.state is not State.TLS:
            raise LocalProtocolError(f"no TLS session can begin now: {self._situation()}")
        self._refuse_injected()
        self.is_secured, self.is_verified = True, is_verified
        if begins:
            return
        self.state = self.ahead = State.INITIATION
        self.greeting = self.extensions = None
        self.is_authenticated = False
        self._open_window(LOCKSTEP)

    # Receiving

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Feed bytes that the server sent. What they mean, or what is wrong with them, `next_event` tells. What can be
        changed is copied; for what is of no octets' kind ValueError is raised, and nothing was changed."""
        if type(data) is not bytes:
            data = octets_of("what is received", data)
        self._reader.feed(data)
        self.has_news = True

    def receive_eof(self, *, is_ours: bool = False) -> None:
        """Say that the server will send nothing more.

        is_ours: it was the connection that was cut, on this side, and the server has not left: errors say so.
        """
        self._eof = self.has_news = True
        self._is_cut = is_ours

    # Taking events

    def next_event(self) -> Event | None:
        """Return the next event, None if more must be received first (or, in state CLOSED, for ever).

        Raises RemoteProtocolError when the server breaks the protocol, ConnectionLost when it has left a command
        without its reply, AuthenticationFailed or ServerUnproven when it claims a success that the mechanism cannot
        confirm, TLSFailed when it answers STARTTLS with neither 220 nor a refusal. The machine is closed then.
        """
        if not self.has_news or self.state is CLOSED:
            return None
        group = self._pipeline.oldest_group
        if group is not None and (answered := self._answered_together(group)) is not None:
            return answered
        if self._challenges.computing is not None:
            self._challenges.go_on()
        if self.state is State.TLS:
            self._refuse_injected()
        while (reply := self._next_reply()) is not None:
            command = self._pipeline.oldest
            if command is not None and reply.code in _DONE and (done := _EXPECTED.get((self.state, type(command)))):
                # Nearly every reply: what it says is what the table expects, and what is said ahead stays legal.
                self._pipeline.settle()
                self.trace("S", reply)
                self.state = done
                self._count(type(command))
                return ReplyReceived(command, reply)
            if isinstance(command, Auth) and reply.is_intermediate:
                outcome = self._challenges.answer(command.exchange, b"".join(reply.lines), str(reply.code))
                del reply  # a challenge is shown to nobody, nor is a frame that holds it
                if isinstance(outcome, MailwireError):
                    raise self._fail(outcome)
                self.state = State.AUTHENTICATION
                if outcome is not None:
                    return outcome
                continue
            is_asked = command is not None or self.state is State.MAIL_DATA
            # A success is handed out as it came, or a password that is a word would change what is said of a mail.
            if isinstance(command, Auth) or not is_asked or reply.code >= 400:
                reply = reply.masked(self._reader.masked)
            self.trace("S", reply)
            return self._answered_with_care(command, reply) if is_asked else self._unasked(reply)
        if self._eof:
            return self._ended()
        self.has_news, self._holds_part = False, bool(self._reader)
        return None

    def hear_group(self, group: Group, data: bytes) -> bool:
        """Do what `receive_data` and `next_event` do, in one, for `data` that are all the answers to `group`, as they
        are to be expected, where nothing else is in flight or to be heard.

        Return whether they are; if not, nothing has changed.
        """
        if self.has_news or self._holds_part or self.state is not group.kind.begins_in:
            return False
        if group.pattern.fullmatch(data) is None or not self._pipeline.settle_sole(group):
            return False
        self._follow_group(group, data)
        self.trace("S", Replies(data))
        return True

    # Telling it what was said past it

    def undoing(self) -> Callable[[], None]:
        """Return what puts it back to where it stands, behind a mail of which it was told, and that was answered by
        groups. For that no memory is needed."""
        state, ahead, last_group = self.state, self.ahead, self.last_group
        text, is_binary, chunks, queued_chunks = self._text, self._is_binary, self._chunks, self.queued_chunks
        standing, put_back = self._verdicts.standing, self._pipeline.undoing()

        def undo() -> None:
            self.state, self.ahead, self.last_group = state, ahead, last_group
            self._text, self._is_binary, self._chunks, self.queued_chunks = text, is_binary, chunks, queued_chunks
            self._verdicts.standing = standing
            put_back()

        return undo

    # Taking bytes

    def data_to_send(self) -> list[bytes]:
        """Return what may be written now, in order; the commands in it are in flight from here on.

        Raises RemoteProtocolError if the server has said something though nothing was asked: it would be taken for the
        answer to what is about to be asked.
        """
        if self._challenges.computing is not None:
            self._challenges.go_on()
        if (self.has_news or self._holds_part) and self._must_hear_first():
            return []
        return self._pipeline.data_to_send()

    # Private

    def _must_hear_first(self) -> bool:
        # Whether what was received must be heard before anything leaves.
        if not self._reader:
            return False
        asked = self._pipeline.awaits_answer
        if self.state is State.MAIL_DATA and not asked:
            return True  # a verdict before the end of the message: next_event() has it
        if not self._pipeline.has_queued:
            return False
        if not asked:
            unread = self._reader.quote_rest()
            raise self._fail(RemoteProtocolError(f"expected nothing from the server, got {unread}"))
        return self._reader.has_line  # what was said already cannot answer what is about to be asked

    def _object(self, command: Command[object]) -> None:
        problem = objection(
            command,
            is_authenticated=self.is_authenticated,
            is_secured=self.is_secured,
            is_lmtp=self.is_lmtp,
            is_binary=self._is_binary,
        )
        if problem is not None:
            raise LocalProtocolError(problem)

    def _begin(self, command: Command[object]) -> None:
        if isinstance(command, Mail):
            self._is_binary = Parameters.of(command.parameters).is_binary
            self._chunks = None
        elif isinstance(command, Auth):
            command.exchange.is_begun = True

    def _released(self, command: Command[object] | Group) -> None:
        if isinstance(command, Group):
            command.text = command.chunk = b""
            if command.end is not None:
                command.end.has_left = True
                self.queued_chunks -= command.kind is not VERDICT
            self.trace("C", command)
            return
        if type(command) in _ORDINARY:
            self.trace("C", command)
            return
        if isinstance(command, EndOfData):
            command.has_left = True
            self.trace("C", Elided(self._text.octets))
        elif isinstance(command, Auth):
            self._reader.mask_with(command.exchange.mask)  # for good: a server may remember it as long as we do
        self.trace("C", command)
        if isinstance(command, Bdat):
            command.has_left, command.left_behind_others = True, self._pipeline.awaits_several
            self.queued_chunks -= 1
            self.trace("C", Elided(command.octets))

    def _ended(self) -> Event:
        inside = self.state in (State.MAIL_DATA, State.CHUNKS)  # a message
        if not (self._is_cut or self._pipeline.awaits_answer or inside or self._reader):
            self._close()
            return ConnectionClosed()
        raise self._fail(loss(self.awaited, self.in_flight, self._reader.quote_rest(), is_ours=self._is_cut))
