"""POP3Client: retrieves mail over one connection."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, TypeVar

from ..endpoint import Endpoint
from ..errors import (
    AmbiguousMessage,
    LocalProtocolError,
    MaildropLocked,
    MailwireError,
    NotSupported,
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
    DropListing,
    Entry,
    Event,
    List,
    Listing,
    Noop,
    Pass,
    Quit,
    Response,
    Retr,
    Rset,
    ScanListing,
    Stat,
    Stls,
    Top,
    Uidl,
    UniqueIdListing,
)
from ..transcript import Transcript
from .authorization import Authorization
from .client import Client
from .deletion import CommitReport, DeletionReport, Marks
from .pop3_dialogue import Dialogue
from .pop3_settings import POP3Settings
from .pop3_transaction import Message, Transaction
from .retrieval import Retrieval, RunOptions
from .retrieved_item import Batch, RetrievalProgress
from .session import Session

__all__ = ["PREVIEW_LIMIT", "POP3Client"]

T = TypeVar("T")

# Seconds to wait between logins of our own accord where the maildrop is still locked: the server has not noticed yet
# that the session before is over.
_LOCK_PAUSES: Final = (1, 5, 15)

_DEFAULTS: Final = POP3Settings()

PREVIEW_LIMIT: Final = 64 * 1024
"""Octets of a preview, if nothing else is said. Where a server cuts what TOP gives, it is at this size or above."""


class POP3Client(Client[Event]):
    """A connection to a POP3 server.

    endpoint: an Endpoint or its URL.
    settings: how the server is dealt with.
    transcript: where the dialogue is recorded; by default the last 100 entries are kept, and errors show the end of it.

    ::

        async with POP3Client("pop3s://me:secret@pop.example.org") as client:
            async for item in client.retrieve(await client.listing()):
                message = await item.read()

    Nothing is deleted on the server unless `delete` asks for it and `commit` or `quit` is answered with +OK. Leaving
    `async with` takes leave by `quit`; leaving it by an error cuts the connection, and then nothing is deleted
    (RFC 1939 6).

    Message numbers hold for one session. Messages are named by entries of a listing or by unique ids, and found in the
    listing of the session that there is; where there is none yet, it is asked for.
    """

    def __init__(
        self,
        endpoint: Endpoint | str,
        *,
        settings: POP3Settings = _DEFAULTS,
        transcript: Transcript | None = None,
    ) -> None:
        super().__init__(endpoint, "pop3", transcript)
        self.settings = settings
        self.last_commit: CommitReport | None = None
        """What is known of the messages of the last session that was asked to delete any. The next listing settles what
        it may."""
        self._may_pipeline = self.endpoint.pipelining
        self._connection = self._new_machine()
        self._logged_in_at = 0.0  # by the event loop's clock
        self._opened_transaction: Transaction | None = None  # of the last session
        self._retrieval: Retrieval | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced last; nothing before it was asked."""
        return self._connection.capabilities or Capabilities()

    # Looking

    async def listing(self) -> Listing:
        """Return what is in the maildrop, and what is wrong with what the server says of it.

        STAT, LIST and UIDL are asked in one flight and joined. A server without UIDL gives entries without a uid; such
        as UIDL tells badly are asked about again, one by one. Raises ResponseError if LIST is refused and there is no
        UIDL either.
        """
        async with self._call():
            return await self._transaction.ask_listing()

    async def stat(self) -> DropListing:
        """Return how many messages there are, and how many octets they have (STAT)."""
        return await self.execute(Stat())

    async def list(self, number: int | None = None) -> ScanListing:
        """Return the sizes of the messages by their numbers, of one `number` or of all (LIST)."""
        return await self.execute(List(number))

    async def uidl(self, number: int | None = None) -> UniqueIdListing:
        """Return the unique ids of the messages by their numbers, of one `number` or of all (UIDL).

        Raises NotSupported where UIDL may not be said.
        """
        self._require("UIDL")
        return await self.execute(Uidl(number))

    async def noop(self) -> None:
        """Ask for nothing, so that the server sees that we are there (NOOP)."""
        await self.execute(Noop())

    async def execute(self, command: Command[T]) -> T:
        """Send `command` and return what its response means.

        Raises ResponseError if it is refused, AuthenticationFailed if it is a login; SecurityError for one that would
        give a password away on a link without TLS. Messages are retrieved by `retrieve`, TLS is begun by `connect`:
        LocalProtocolError for Retr, Top and Stls.
        """
        if command.streamed:
            raise LocalProtocolError(f"{command} has a message for an answer: use retrieve(), top() or preview()")
        if isinstance(command, Stls):
            raise LocalProtocolError('TLS is begun by connect(): set tls="starttls" in the endpoint')
        async with self._call() as session:
            return command.parse(await self._execute(session, command))

    # Retrieving

    def retrieve(
        self,
        messages: Iterable[Message],
        *,
        message_limit: int | None = None,
        total_limit: int | None = None,
        batch: Batch | None = None,
        progress: Callable[[RetrievalProgress], None] | None = None,
    ) -> Retrieval:
        """Retrieve messages: an async iterator of one item for each, in order.

        Where the server allows pipelining, many are asked for at a time. A consumer that is slow holds the server back;
        what it leaves of an item unread is passed over. A message that the server refuses, or that is not there, is an
        item with `error`, and the run goes on. Where a refusal says that a quota is used up, nothing more is asked for,
        and what is left is refused by the same words.

        messages: entries of a listing, and unique ids.
        message_limit: octets of a message; reading one that is longer raises BudgetExceeded, and the run goes on.
        total_limit: octets of all messages together; more ends the run with BudgetExceeded.
        batch: when to commit what was marked by the items' `delete`, by QUIT and a session of its own for what follows.
            LOGIN-DELAY is honoured. It needs unique ids. The last batch is committed by `commit` or `quit`.
        progress: is told of every block.

        Raises ConnectionLost (MessageTruncated inside a message), DeadlineExceeded, ProtocolError;
        AmbiguousMessage for a uid that several messages share; LocalProtocolError for an entry without a uid that is
        not of this session; and what `connect` raises, where another session is needed.
        """
        options = RunOptions(_retr, message_limit, total_limit, batch, progress)
        return Retrieval(self, messages, options)

    async def top(self, message: Message, lines: int = 0, *, limit: int = PREVIEW_LIMIT) -> bytes:
        """Return the header of a message and the first `lines` lines of its body, at most `limit` octets (TOP).

        It is a preview, never the message: servers cut it, leave something out, or put something in. Raises
        NotSupported where TOP may not be said, ResponseError if it is refused, UnknownMessage if there is no such
        message.
        """
        async with self._call():
            self._require("TOP")
        return await self._read_beginning(message, partial(_top, lines), lines, limit)

    async def preview(self, message: Message, lines: int = 0, *, limit: int = PREVIEW_LIMIT) -> bytes:
        """Do as `top` does, and where TOP is not to be had retrieve the message and read no more than the same of it.

        What is not read of it is read by the next call, or ends the connection (`POP3Settings.drain`). Servers that
        mark what was retrieved mark it then.
        """
        try:
            return await self.top(message, lines, limit=limit)
        except (NotSupported, ResponseError):
            return await self._read_beginning(message, _retr, lines, limit)

    async def _read_beginning(
        self, message: Message, command: Callable[[Entry], Retr | Top], lines: int, limit: int
    ) -> bytes:
        text = bytearray()
        async with aclosing(Retrieval(self, [message], RunOptions(command))) as items:
            async for item in items:
                async for block in item:
                    text += block
                    if (end := _end_of_preview(text, lines)) is not None or len(text) >= limit:
                        return bytes(text[: limit if end is None else min(end, limit)])
        return bytes(text)

    # Deleting

    async def delete(self, messages: Iterable[Message] | Message, *, force: bool = False) -> DeletionReport:
        """Mark messages (DELE), to be deleted by `commit`; return what came of each. A refusal ends nothing.

        messages: entries of a listing, and unique ids; or a single one.
        force: also messages that share their unique id with others. An entry of this session names one of them, a uid
            all.

        Raises AmbiguousMessage for such a one otherwise, LocalProtocolError for an entry without a uid that is not of
        this session; nothing was marked then.
        """
        named = (messages,) if isinstance(messages, Entry | str) else messages
        async with self._call():
            found = await self._find(named, forced=force)
            transaction = self._transaction
            entries = tuple(dict.fromkeys(entry for entry in found if isinstance(entry, Entry)))
            shared = next((entry for entry in entries if entry.shares_uid), None)
            if shared is not None and not force:
                raise AmbiguousMessage(f"several messages have the unique id {shared.uid!r}", uid=shared.uid or "")
            await transaction.mark_all(entries, self.settings.window.commands)
            refusals = {entry: transaction.marks.refusal_of(entry) for entry in entries}
            return DeletionReport(
                marked=tuple(entry for entry, refusal in refusals.items() if refusal is None),
                refused={entry: refusal for entry, refusal in refusals.items() if refusal is not None},
                missing=tuple(uid for uid in found if isinstance(uid, str)),
            )

    async def rollback(self) -> None:
        """Unmark all that is marked in this session (RSET). Raises ResponseError if that is refused."""
        await self.execute(Rset())

    async def reset(self) -> None:
        """Do the same as `rollback`, by the name that RFC 1939 gives it."""
        await self.rollback()

    async def commit(self, *, reconnect: bool = False) -> CommitReport:
        """Delete what is marked, by QUIT (RFC 1939 6); return what is known of each message.

        It is no error if the server refuses or is not there any more: what was marked is unknown then, and the report
        says why. After a cancellation, `last_commit` holds it.

        reconnect: log in again, for the session is over. LOGIN-DELAY is honoured. Raises what `connect` raises.
        """
        await self._begin_call()
        try:
            if self._session is None:
                raise LocalProtocolError("the client is not connected: connect() first")
            report = await self._commit_marks()
            if reconnect:
                await self._reopen()
                report = report if self.last_commit is None else self.last_commit
        except BaseException as error:
            self._end_call(error)
            raise
        self._end_call(None)
        return report

    async def quit(self) -> None:
        """Take leave and close the connection; the server then deletes what was marked (RFC 1939 6).

        Where anything was marked, an error means that it may or may not be deleted: ResponseError for -ERR,
        ConnectionLost or DeadlineExceeded for no answer. `last_commit` has it in detail. Where nothing was, nothing is
        raised.
        """
        await self._begin_call()
        try:
            report = CommitReport() if self._session is None else await self._commit_marks()
        finally:
            self._end_call(None)
        if report.unknown and report.error is not None:
            raise report.error

    # Connecting

    def abort(self) -> None:
        """Cut the connection at once, without a word. By RFC 1939 6 nothing that was marked is deleted then."""
        if self._session is not None:
            self._end_session(None)
        super().abort()

    def _new_machine(self) -> Connection:
        window = self.settings.window if self._may_pipeline else LOCKSTEP
        self._connection = Connection(window=window, limits=self.settings.limits, trace=self._record)
        return self._connection

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
        self._authorization = Authorization(self.endpoint, dialogue, asks_capabilities=settings.asks_capabilities)
        self.mechanism = await self._authorization.begin()
        self._logged_in_at = asyncio.get_running_loop().time()
        dialogue.keep_alive()

    async def _reopen(self) -> Listing:
        # Connect again inside a call, and ask for the listing.
        login_delay = self.capabilities.login_delay
        self.abort()
        if login_delay is not None:
            await asyncio.sleep(self._logged_in_at + login_delay.seconds - asyncio.get_running_loop().time())
        for pause in _LOCK_PAUSES:
            try:
                await self._establish()
            except MaildropLocked:
                await asyncio.sleep(pause)
            else:
                break
        else:
            await self._establish()
        return await self._transaction.ask_listing()

    async def _find(self, messages: Iterable[Message], *, forced: bool = False) -> Sequence[Entry | str]:
        named = self._transaction.check(messages)
        if named and self._transaction.listing is None:
            await self._transaction.ask_listing()
        return self._transaction.find(named, forced=forced)

    def _stop_pipelining(self) -> None:
        # The server does not stand it: for as long as this client lives.
        self._may_pipeline = False

    # Asking

    @property
    def _transaction(self) -> Transaction:
        if self._opened_transaction is None:
            raise AssertionError("where there is a session, there is a transaction")
        return self._opened_transaction

    @property
    def _dialogue(self) -> Dialogue:
        return self._transaction.dialogue

    def _allows(self, command: str) -> bool:
        return self.settings.allows(command, self.capabilities, knows_capa=self._authorization.knows_capa)

    def _require(self, command: str) -> None:
        if self._session is not None and not self._allows(command):
            raise NotSupported(f"{self.endpoint} does not announce {command}", extension=command)

    async def _execute(self, session: Session[Event], command: Command[object]) -> Response:
        if isinstance(command, Apop | Auth | Pass):
            if not isinstance(command, Auth) or command.mechanism.exposes_password:
                self._refuse_exposure(session, command)
            return await self._authorization.log_in(command)
        if isinstance(command, Quit):
            report = await self._commit_marks()
            if report.response is None or not report.response.ok:
                raise report.error or AssertionError("what is not answered has a reason")
            return report.response
        if isinstance(command, Dele):
            self._transaction.ask_to_mark(command)
        return await self._dialogue.ask(command)

    # Taking leave

    async def _commit_marks(self) -> CommitReport:
        transaction = self._transaction
        marks, dialogue = transaction.marks, transaction.dialogue
        report: CommitReport | None = None
        try:
            await dialogue.settle()
            dialogue.session.expect_silence()
            try:
                report = marks.committed(await dialogue.ask(Quit(), is_farewell=not marks))
            except ResponseError as error:
                self._note(error)
                report = marks.in_doubt(error, error.response)
        except MailwireError as error:
            self._note(error)
            report = marks.in_doubt(error)
        else:
            await dialogue.session.close()
        finally:
            self._end_session(report)
            super().abort()
        return report

    def _end_session(self, report: CommitReport | None) -> None:
        # What becomes of its messages is known as far as it will be; without a report nobody knows.
        transaction = self._transaction
        transaction.dialogue.end()
        if report is None:
            report = transaction.marks.in_doubt(None)
        if report.committed or report.refused or report.unknown:
            self.last_commit = report

    def _listed(self, listing: Listing) -> None:
        if self.last_commit is not None:
            self.last_commit = self.last_commit.reconciled(listing)

    # Sharing the connection

    async def _begin_retrieval(self, retrieval: Retrieval) -> None:
        await self._open_call()
        self._retrieval = retrieval

    def _end_retrieval(self, error: BaseException | None, *, cut: bool, leaves: bool) -> None:
        self._retrieval = None
        if cut:
            self.abort()
        elif leaves:
            self._transaction.leave()
        self._end_call(error)

    def _break_off(self) -> None:
        if self._retrieval is None:
            super()._break_off()
        else:
            self._retrieval._break_off()

    def _holder(self) -> "asyncio.Task[object] | None":
        holder = super()._holder()
        if holder is None and self._retrieval is not None:
            maker = self._retrieval.maker
            return None if maker is None or maker.done() else maker
        return holder

    async def _settle(self) -> None:
        await self._dialogue.settle()

    @property
    def _is_clean(self) -> bool:
        return self._session is None or self._dialogue.is_clean


def _retr(entry: Entry) -> Retr:
    return Retr(entry.number, size=entry.size)


def _top(lines: int, entry: Entry) -> Top:
    return Top(entry.number, lines)


def _end_of_preview(text: bytearray, lines: int) -> int | None:
    # Where the preview ends, in a message that begins with `text`; None if more is needed to tell.
    blank = 0 if text.startswith(b"\r\n") else text.find(b"\n\r\n") + 1
    if blank == 0 and not text.startswith(b"\r\n"):
        return None
    end = blank + 2
    for _ in range(lines):
        end = text.find(b"\n", end) + 1
        if end == 0:
            return None
    return end
