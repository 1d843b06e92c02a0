"""The sessions of a POP3 client, one after the other: how each begins, is shared and ends, and what is found in it."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Final

from .._wire.text import check_kind
from ..endpoint import Endpoint
from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    MaildropLocked,
    MailwireError,
    NotSupported,
    RemoteProtocolError,
    ResponseError,
)
from ..pop3 import (
    LOCKSTEP,
    Apop,
    Auth,
    Capabilities,
    Command,
    Connection,
    Dele,
    Entry,
    Event,
    Listing,
    Pass,
    Quit,
    RefusalCause,
    Response,
    Rset,
    State,
)
from ..transcript import Transcript
from .authentication import refuse_exposure
from .authorization import Authorization
from .client import Client
from .deletion import CommitReport, Marks
from .pop3_dialogue import Dialogue
from .pop3_settings import POP3Settings
from .pop3_transaction import Message, Transaction
from .retrieval import Retrieval
from .session import Session

__all__ = ["POP3Sessions"]

# Seconds to wait at least between logins of our own accord where the maildrop is still locked, for the server has not
# noticed yet that the session before is over, and where it says that the login comes too soon.
_LOCK_PAUSES: Final = (1, 5, 15)


class POP3Sessions(Client[Event]):
    """What a POP3Client is made of, besides what is asked of it."""

    def __init__(self, endpoint: Endpoint | str, settings: POP3Settings, transcript: Transcript | None) -> None:
        try:
            super().__init__(endpoint, "pop3", transcript)
        finally:
            del endpoint  # the password in a URL: a traceback may show locals
        check_kind("settings", settings, POP3Settings, "POP3Settings")
        self.settings = settings
        self.last_commit: CommitReport | None = None
        """What is known of the messages of the last session that was asked to delete any. The next listing settles what
        it may."""
        self._may_pipeline = self.endpoint.pipelining and not settings.quirks.needs_lockstep
        self._may_ask_again = True  # about single messages of a listing
        self._connection = self._make_machine()
        self._authorization: Authorization | None = None  # of the last session
        self._logged_in_at = 0.0  # by the event loop's clock
        self._login_delay = 0  # in seconds, as it was behind the last login
        self._opened_transaction: Transaction | None = None  # of the last session
        self._retrieval: Retrieval | None = None
        self._fault: MailwireError | None = None  # what the last call was ended by
        self._untold: MailwireError | None = None  # why there is no session, where the last call has not said so
        self._aborts_before = 0  # that there were before this call
        self._pause: asyncio.Future[None] | None = None  # between two sessions

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced last; nothing before it was asked."""
        return self._connection.capabilities or Capabilities()

    @property
    def login_delay(self) -> int:
        """How many seconds the server wants to pass between two logins (LOGIN-DELAY, RFC 2449 6.5), by what it has said
        last; 0 if it has said nothing of it. Some tell it behind a login alone: it holds until the next one succeeds,
        through all that fail."""
        return max(self._login_delay, self._announced_delay)

    @property
    def is_utf8(self) -> bool:
        """Whether the server of this session, or the last one, has agreed to UTF8 (`POP3Settings.utf8`)."""
        return self._authorization is not None and self._authorization.is_utf8

    # Connecting

    def abort(self) -> None:
        """Cut the connection at once, without a word. By RFC 1939 6 nothing that was marked is deleted then."""
        super().abort()
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    def _cut(self) -> None:
        # A connection that is cut before it has begun leaves what is known of the session before as it is.
        self._untold = None
        if self._has_session:
            self._end_session(None)
        super()._cut()

    def _new_machine(self) -> Connection:
        self._untold = None
        machine = self._make_machine()
        machine.mask_as(self._connection)
        self._connection = machine
        return machine

    def _make_machine(self) -> Connection:
        settings = self.settings
        window = settings.window if self._may_pipeline else LOCKSTEP
        return Connection(window=window, limits=settings.limits, quirks=settings.quirks, trace=self._trace)

    async def _begin(self, session: Session[Event]) -> None:
        settings, marks = self.settings, Marks()
        dialogue = Dialogue(
            self.endpoint,
            session,
            self._connection,
            may_pipeline=self._may_pipeline,
            keep_alive=settings.keep_alive,
            drain=settings.drain,
            observe=marks.observe,
        )
        self._opened_transaction = Transaction(dialogue, marks, self._allows, self._listed)
        self._authorization = authorization = Authorization(
            self.endpoint,
            dialogue,
            asks_capabilities=settings.asks_capabilities,
            language=settings.language,
            wants_utf8=settings.utf8,
            sends_initial_response=settings.initial_response,
        )
        self.mechanism: str | None = await authorization.begin()
        self._logged_in_at = asyncio.get_running_loop().time()
        self._login_delay = self._announced_delay
        dialogue.keep_alive()

    @property
    def _announced_delay(self) -> int:
        delay = self.capabilities.login_delay
        return 0 if delay is None else delay.seconds

    @property
    def _login_pause(self) -> float:
        # Seconds from here until the server wants to see the next login.
        return self._logged_in_at + self.login_delay - asyncio.get_running_loop().time()

    @property
    def _may_reopen(self) -> bool:
        # Whether there can be another session before long.
        return self._login_pause <= self.settings.login_pause_limit

    async def _reopen(self) -> Listing:
        # Connect again inside a call, and ask for the listing.
        pause, may_reopen = self._login_pause, self._may_reopen
        self._cut()
        self._refuse_if_aborted(self._aborts_before)
        if not may_reopen:
            raise ConnectionFailed(
                f"{self.endpoint} wants {pause:.0f} seconds more before the next login (LOGIN-DELAY), "
                f"{self.settings.login_pause_limit} are waited for at most"
            )
        await self._wait(pause)
        for pause in _LOCK_PAUSES:
            try:
                await self._establish()
            except ResponseError as error:
                # To try to log in counts as a login (RFC 2449 6.5). Some servers tell the pause only as they refuse.
                wanted = max(self.login_delay, error.retry_after or 0)
                is_too_soon = error.response.cause is RefusalCause.LOGIN_DELAY and wanted > 0
                pause = max(pause, wanted)
                if not (isinstance(error, MaildropLocked) or is_too_soon) or pause > self.settings.login_pause_limit:
                    raise
                await self._wait(pause)
            else:
                break
        else:
            await self._establish()
        return await self._ask_listing()

    async def _wait(self, seconds: float) -> None:
        # Until the next login, or until the client is told to abort: then it has none.
        self._pause = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([self._pause], timeout=max(0, seconds))
        finally:
            self._pause = None
        self._refuse_if_aborted(self._aborts_before)

    async def _ask_listing(self) -> Listing:
        # A server that says it pipelines and drops who does it is asked again, one question at a time; one that drops
        # who asks about a single message, or answers something else, is not asked about any. Where anything is marked,
        # the session is more than its listing, and its end is told.
        transaction = self._transaction
        asks_again = self._may_ask_again and self._may_reopen and not transaction.marks
        try:
            return await transaction.ask_listing(asks_again=asks_again)
        except (ConnectionLost, DeadlineExceeded, RemoteProtocolError) as lost:
            if transaction.is_asking_again:
                self._may_ask_again = False
            elif isinstance(lost, ConnectionLost) and self._is_pipelining_to_blame(lost) and not transaction.marks:
                self._stop_pipelining()
            else:
                raise
            try:
                return await self._reopen()
            except ConnectionFailed:
                raise lost from None

    async def _find(
        self, messages: Iterable[Message] | Message, *, forced: bool = False, sized: bool = True
    ) -> Sequence[Entry | str]:
        named = await self._transaction.check(messages)
        if named and self._transaction.needs_listing:
            await self._ask_listing()
        return await self._transaction.find(named, forced=forced, sized=sized)

    async def _mark_all(self, entries: Sequence[Entry]) -> None:
        try:
            await self._transaction.mark_all(entries, self.settings.window.commands)
        except ConnectionLost as lost:
            # What becomes of marks is for the caller to decide, who may call again: one by one then.
            if self._is_pipelining_to_blame(lost):
                self._stop_pipelining()
            raise

    def _is_pipelining_to_blame(self, lost: ConnectionLost) -> bool:
        # Several commands were unanswered when the connection was lost.
        return self._dialogue.pipelines and len(lost.in_flight) > 1 and self.is_connected

    def _stop_pipelining(self) -> None:
        # The server does not stand it: for as long as this client lives.
        self._may_pipeline = False

    # Asking

    @property
    def _has_session(self) -> bool:
        # Whether the session of the last transaction is not over.
        transaction = self._opened_transaction
        return transaction is not None and transaction.dialogue.session is self._session

    @property
    def _transaction(self) -> Transaction:
        if self._opened_transaction is None:
            raise AssertionError("where there is a session, there is a transaction")
        return self._opened_transaction

    @property
    def _dialogue(self) -> Dialogue:
        return self._transaction.dialogue

    def _allows(self, command: str) -> bool:
        knows_capa = self._authorization is not None and self._authorization.knows_capa
        return self.settings.allows(command, self.capabilities, knows_capa=knows_capa)

    def _require(self, command: str) -> None:
        if self._session is not None and not self._allows(command):
            raise NotSupported(f"{self.endpoint} does not announce {command}", extension=command)

    async def _execute(self, session: Session[Event], command: Command[object]) -> Response:
        if isinstance(command, Apop | Auth | Pass):
            if not isinstance(command, Auth) or command.mechanism.exposes_password:
                refuse_exposure(self.endpoint, session.stream, command)
            if self._authorization is None:
                raise AssertionError("where there is a session, there is an authorization")
            return await self._authorization.log_in(command)
        if isinstance(command, Quit):
            report = await self._commit_marks()
            if report.response is None or not report.response.ok:
                raise report.error or AssertionError("what is not answered has a reason")
            return report.response
        if isinstance(command, Dele):
            self._transaction.say_mark(command)
            return await self._dialogue.answer_to(command)
        return await self._dialogue.ask(command)

    # Taking leave

    async def _commit_marks(self) -> CommitReport:
        transaction = self._transaction
        marks, dialogue = transaction.marks, transaction.dialogue
        report: CommitReport | None = None
        try:
            await dialogue.settle()
            dialogue.expect_silence()
            await self._reset_before_quit()
            try:
                response = await dialogue.ask(Quit(), is_farewell=not marks)
                if marks:
                    await dialogue.expect_end()
                report = marks.committed(response)
            except ResponseError as error:
                self._note(error)
                report = self._in_doubt(error, error.response)
        except MailwireError as error:
            self._note(error)
            report = self._in_doubt(error)
        else:
            await dialogue.session.close()
        finally:
            self._end_session(report)
            super()._cut()
        return report

    async def _reset_before_quit(self) -> None:
        # There are servers that delete what was retrieved, unless they are told to delete nothing.
        transaction, state = self._transaction, self._connection.state
        if self.settings.resets_before_quit and not transaction.marks and state is State.TRANSACTION:
            transaction.dialogue.send(Rset())
            await transaction.dialogue.next_response()

    @property
    def _unmarked(self) -> Sequence[Entry]:
        # What a retrieval is still to have marked in this session.
        return () if self._retrieval is None else self._retrieval.unmarked

    def _in_doubt(self, error: MailwireError | None, response: Response | None = None) -> CommitReport:
        # What was waiting to be said, the server was not asked for: it is not in doubt.
        transaction = self._transaction
        transaction.marks.forget_unsaid(transaction.dialogue.connection.in_flight)
        return transaction.marks.in_doubt(error, response)

    def _end_session(self, report: CommitReport | None) -> None:
        # What becomes of its messages is known as far as it will be; without a report nobody knows.
        transaction = self._transaction
        transaction.dialogue.end()
        if report is None:
            transaction.marks.leave_unsaid(self._unmarked)
            report = self._in_doubt(self._fault)
        if report.committed or report.refused or report.unknown or report.kept:
            self.last_commit = report

    def _listed(self, listing: Listing) -> None:
        if self.last_commit is not None:
            expire = self.capabilities.expire
            hides_retrieved = expire is not None and expire.days == 0
            self.last_commit = self.last_commit.reconciled(listing, hides_retrieved=hides_retrieved)

    # Sharing the connection

    async def _begin_call(self) -> None:
        await super()._begin_call()
        self._aborts_before = self._aborts
        self._fault = None

    def _why_not_connected(self) -> MailwireError:
        untold, self._untold = self._untold, None
        return untold or super()._why_not_connected()

    async def _begin_retrieval(self, retrieval: Retrieval) -> None:
        await self._open_call()
        self._retrieval = retrieval

    def _end_retrieval(self, error: BaseException | None, *, cut: bool, leaves: bool) -> None:
        self._fault = error if isinstance(error, MailwireError) else None
        try:
            if cut:
                self._cut()
            elif leaves and self._has_session:
                self._transaction.leave(self._unmarked)
        finally:
            self._retrieval = None
            self._end_call(error)

    def _end_call(self, error: BaseException | None) -> None:
        self._fault = error if isinstance(error, MailwireError) else None
        super()._end_call(error)

    def _break_off(self) -> None:
        if self._retrieval is None:
            super()._break_off()
        else:
            self._retrieval._break_off()

    def _holder(self) -> "asyncio.Task[object] | None":
        holder = super()._holder()
        if holder is None and self._retrieval is not None:
            return self._retrieval.maker
        return holder

    def _settling(self) -> Coroutine[object, object, None] | None:
        return None if self._session is None else self._dialogue.settle()

    def _expect_silence(self, session: Session[Event]) -> None:
        self._dialogue.expect_silence()

    @property
    def _is_clean(self) -> bool:
        return self._session is None or self._dialogue.is_clean
