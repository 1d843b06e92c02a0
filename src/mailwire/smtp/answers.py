"""Answers: what the replies of a server do to a session: where it leads, what is learnt, what becomes illegal by it.

A `Connection` has them of this; it is no class by itself.
"""

from collections.abc import Collection

from .._wire.pipeline import LOCKSTEP, Window
from .._wire.trace import Trace
from ..errors import MailwireError, RemoteProtocolError
from .commands import Auth, Bdat, BdatLast, Command, Ehlo, EndOfData, Greeting, Helo, Mail, Rcpt
from .events import Event, GroupsAnswered, ReplyReceived, ServerClosing
from .extensions import Extensions
from .group import Group, Replies
from .group_kind import CHUNK, DATA, GO_AHEAD
from .grouped_pipeline import GroupedPipeline
from .mail_data import Text, Verdicts
from .opening import Opening
from .reply import Reply, ReplyReader
from .rules import Begun, fault, injection, miscount
from .states import CLOSED, READY, State, overtaken, transition

__all__ = ["Answers"]


class Answers:
    """The part of a connection that replies come to."""

    state: State
    ahead: State
    begun: Begun
    greeting: Reply | None
    extensions: Extensions | None
    is_lmtp: bool
    is_authenticated: bool
    queued_chunks: int
    has_news: bool
    is_pipelining: bool
    opening: Opening | None
    takes_groups: bool
    takes_envelopes: bool
    trace: Trace
    window: Window

    _eof: bool
    _ignored: Collection[str]
    _pipeline: GroupedPipeline
    _reader: ReplyReader
    _text: Text
    _verdicts: Verdicts

    def mask_as(self, earlier: "Answers") -> None:
        """Mask also what was told on `earlier`, a connection to the same server before this one: it may remember that,
        and say it back before it is told anything."""
        self._reader.mask_as(earlier._reader)

    def _next_reply(self) -> Reply | None:
        try:
            return self._reader.next_reply()
        except RemoteProtocolError as error:
            kind, problem = type(error), str(error)
        # Raised out here, for the frames of the first error hold what the server said as it said it.
        waiting = self._pipeline.oldest
        where = f"in reply to {waiting}" if waiting else "though nothing was asked"
        raise self._fail(kind(f"{problem} ({where})"))

    def _answered_together(self, group: Group) -> GroupsAnswered | None:
        # None if the `group`, which is the oldest in flight, is not answered yet, or not as expected.
        reader = self._reader
        answered: tuple[Group, ...] = ()
        said = b""
        oldest: Group | None = group
        while oldest is not None:
            kind = oldest.kind
            if self.state is not kind.begins_in or (answer := reader.take_together(oldest.pattern)) is None:
                break
            if kind is CHUNK and not reader.is_spent and self._miscount(may_be_taken=True) is not None:
                reader.put_back(answer)  # it unfolds, and each is answered with care
                break
            answered += (oldest,)
            said += answer
            self._follow_group(oldest, answer)
            oldest = self._pipeline.settle_group()
        if not answered:
            return None
        self.has_news = self._eof or not reader.is_spent
        self.trace("S", Replies(said))
        return GroupsAnswered(answered)

    def _miscount(self, *, may_be_taken: bool) -> RemoteProtocolError | None:
        # The oldest in flight ends with a chunk that left behind others, and the last reply to it was taken.
        if self._pipeline.awaits_several:
            return None
        return miscount(self._reader.rest, may_be_taken=may_be_taken, quote=self._reader.quote_rest)

    def _follow_group(self, group: Group, answer: bytes) -> None:
        # It is the oldest in flight, and answered as expected.
        kind = group.kind
        group.answer = answer
        if kind.begins_in is READY:
            self._verdicts.standing = len(group.recipients)
        if kind is DATA or kind is GO_AHEAD:
            self._text = Text()
        self.state = kind.leads_to

    def _unasked(self, reply: Reply) -> Event:
        if reply.code == 421:
            self._close()
            return ServerClosing(reply)
        raise self._fail(RemoteProtocolError(f"expected nothing from the server, got the reply {self._quote(reply)}"))

    def _answered_with_care(self, command: Command[object] | None, reply: Reply) -> ReplyReceived:
        early = command is None  # a verdict on the message before its end
        if command is None:
            command = self._text.end
        row = transition(self.state, type(command))
        expected = self.state if row is None else row.ahead
        if row is None:
            row = overtaken(self.state, type(command))
        if (error := fault(command, reply, row, is_early=early, quote=self._quote)) is not None:
            raise self._fail(error)
        has_more = self.is_lmtp and self._has_more_verdicts(command, early=early)
        if has_more and reply.code != 421:
            return ReplyReceived(command, reply)
        # Behind a verdict of 421 the others may still come, and are none too many.
        if isinstance(command, BdatLast) and command.left_behind_others and not has_more:
            # LMTP may have other verdicts before this one.
            error = self._miscount(may_be_taken=reply.is_completion or self.is_lmtp)
            if error is not None:
                command.is_miscounted = True
                raise self._fail(error)
        if not early:
            self._pipeline.settle()
        if reply.code < 400:
            self.state = (row.done if reply.is_completion else row.more) or self.state
            self._learn(command, reply)
        else:
            self.state = row.refused
            if self.state is READY and isinstance(command, Mail):
                self._verdicts.standing = 0  # no mail is open: what is accepted behind it, is no more of the one before
        # RFC 5321 3.8: 421 may answer anything, and the server closes. A verdict before the end of the message leaves
        # the two sides at odds about what comes next: the rest of the message would be read as commands.
        if reply.code == 421 or early:
            self.state = CLOSED
        discarded: tuple[Command[object], ...] = ()
        if self.state is State.TLS:
            self._refuse_injected()
        elif self.state is CLOSED:
            discarded = self._close()
        elif self.state is not expected or isinstance(command, Auth):
            discarded = self._look_ahead()
        return ReplyReceived(command, reply, early, discarded)

    def _has_more_verdicts(self, command: Command[object], *, early: bool) -> bool:
        # Behind a refused chunk the server has no message to answer once for each recipient.
        if early or self.state is State.SPOILED:
            return False
        return isinstance(command, (EndOfData, BdatLast)) and not self._verdicts.is_last()

    def _quote(self, reply: Reply) -> str:
        return repr(str(reply.masked(self._reader.masked)))

    def _learn(self, command: Command[object], reply: Reply) -> None:
        self._count(type(command))
        if isinstance(command, Greeting):
            self.greeting = reply
        elif isinstance(command, (Ehlo, Helo)):
            offered = command.parse(reply) if isinstance(command, Ehlo) else Extensions()
            self.extensions = offered.without(self._ignored) if self._ignored else offered
            self._open_window(self.window if "PIPELINING" in self.extensions else LOCKSTEP)
        elif isinstance(command, Auth):
            self.is_authenticated = True
        elif self.state is State.MAIL_DATA:
            self._text = Text()

    def _open_window(self, window: Window) -> None:
        self._pipeline.unfold()
        self._pipeline.window = window
        self.is_pipelining = window.commands > 1
        self.takes_envelopes = self.takes_groups and self.is_pipelining
        self.opening = None  # it was judged by what the server offered before

    def _count(self, kind: type[Command[object]]) -> None:
        # Who stands accepted in the transaction whose replies come in.
        if kind is Rcpt:
            self._verdicts.standing += 1
        elif kind is Mail:
            self._verdicts.standing = 0

    def _forget_chunks(self, discarded: Collection[Command[object]]) -> None:
        if self.queued_chunks:
            self.queued_chunks -= sum(isinstance(command, Bdat) for command in discarded)

    def _look_ahead(self) -> tuple[Command[object], ...]:
        self.ahead, discarded = self._pipeline.foresee(self.state, self._follow)
        self._forget_chunks(discarded)
        return discarded

    def _follow(self, state: State, command: Command[object]) -> State | None:
        row = transition(state, type(command))
        if row is None or (isinstance(command, Auth) and self.is_authenticated):
            return None
        return row.ahead

    def _refuse_injected(self) -> None:
        if self._reader:
            raise self._fail(injection(self._reader.quote_rest()))

    def _fail(self, error: MailwireError) -> MailwireError:
        self._close()
        return error

    def _close(self) -> tuple[Command[object], ...]:
        self.state = self.ahead = CLOSED
        self._text.is_ended = True
        self.queued_chunks = 0
        self.begun.clear()
        return self._pipeline.close()
