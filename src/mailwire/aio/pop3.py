"""POP3Client: retrieves mail over one connection."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, TypeVar

from .._wire.text import check_whole_number, command_expected
from ..endpoint import Endpoint
from ..errors import (
    AmbiguousMessage,
    Desynchronised,
    LocalProtocolError,
    NotSupported,
    ResponseError,
)
from ..pop3 import (
    Command,
    DropListing,
    Entry,
    Lang,
    Last,
    List,
    Listing,
    Noop,
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
from .batch import Batch
from .deletion import CommitReport, DeletionReport
from .pop3_sessions import POP3Sessions
from .pop3_settings import POP3Settings
from .pop3_transaction import Message, check_message
from .preview import read_beginning, read_fingerprints
from .retrieval import Retrieval
from .retrieval_progress import RetrievalProgress
from .run_options import RunOptions

__all__ = ["PREVIEW_LIMIT", "POP3Client"]

T = TypeVar("T")

_DEFAULTS: Final = POP3Settings()

PREVIEW_LIMIT: Final = 64 * 1024
"""Octets of a preview, if nothing else is said. Where a server cuts what TOP gives, it is at this size or above."""


class POP3Client(POP3Sessions):
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
    listing of the session that there is; where there is none yet, it is asked for. An entry of an earlier session means
    the message that has its unique id, if the size is the same as well; a unique id alone, whatever has it.
    """

    def __init__(
        self,
        endpoint: Endpoint | str,
        *,
        settings: POP3Settings = _DEFAULTS,
        transcript: Transcript | None = None,
    ) -> None:
        try:
            super().__init__(endpoint, settings, transcript)
        finally:
            del endpoint  # the password in a URL: a traceback may show locals

    # Looking

    async def listing(self) -> Listing:
        """Return what is in the maildrop, and what is wrong with what the server says of it.

        STAT, LIST and UIDL are asked in one flight and joined. A server without UIDL gives entries without a uid, and
        is asked LAST if `POP3Settings.probes` has it. Such as UIDL tells badly are asked about again, one by one. A
        server that does not take that well is left, and listed on another connection without it: so it is not done
        where anything is marked, nor where the next login would have to wait for longer than
        `POP3Settings.login_pause_limit`.

        Raises ResponseError if LIST is refused and there is no UIDL either, and where either is refused for now only: a
        server whose unique ids are not to be had at the moment is none that has no unique ids.
        """
        async with self._call():
            listing = await self._ask_listing()
            self._transaction.is_shown = True
            return listing

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

    async def last(self) -> int | None:
        """Return the greatest number of a message that was accessed, 0 if none was (LAST, RFC 1460 5).

        It was taken out of the standard in 1994, and no capability announces it: to call this is to try. A server of
        that time that lacks UIDL may have it, and then it is what tells old messages from others; `listing` asks for it
        by itself only where `POP3Settings.probes` has it. What is retrieved in this session counts, and RSET takes that
        back. None where the answer tells no number; raises ResponseError where the server does not know it.
        """
        return await self.execute(Last())

    async def lang(self, language: str | None = None) -> Mapping[str, str]:
        """Return the languages that the server's texts may be in, by their tags; or choose one by its tag (LANG).

        language: a tag such as "de" or "pt-BR", "*" for the server's own; the mapping then has the one that was chosen.
        `POP3Settings.language` chooses one in every session, before the login.

        Raises NotSupported where the server does not announce LANG, ResponseError where it lacks the language.
        RFC 6856 3.
        """
        self._require("LANG")
        return await self.execute(Lang(language))

    async def noop(self) -> None:
        """Ask for nothing, so that the server sees that we are there (NOOP)."""
        await self.execute(Noop())

    async def execute(self, command: Command[T]) -> T:
        """Send `command` and return what its response means.

        Raises ResponseError if it is refused, AuthenticationFailed if it is a login; SecurityError for one that would
        give a password away on a link without TLS; ValueError for what is no command, as a str is none. Messages are
        retrieved by `retrieve`, TLS is begun by `connect`: LocalProtocolError for Retr, Top and Stls.

        The command is said whether or not CAPA lists it, for here it is named by who wants it; all other calls ask for
        nothing that is not announced, but for `POP3Settings.probes`.
        """
        if not isinstance(command, Command):
            raise command_expected("pop3.Noop()", command)
        if command.streamed:
            raise LocalProtocolError(f"{command} has a message for an answer: use retrieve(), top() or preview()")
        if isinstance(command, Stls):
            raise LocalProtocolError('TLS is begun by connect(): set tls="starttls" in the endpoint')
        async with self._call() as session:
            return command.parse(await self._execute(session, command))

    # Retrieving

    def retrieve(
        self,
        messages: Iterable[Message] | Message,
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

        messages: entries of a listing, and unique ids; or a single one.
        message_limit: octets of a message; reading one that is longer raises BudgetExceeded, and the run goes on: on
            another connection, where more than `POP3Settings.drain` is left of it. So it does where nobody reads it,
            and, where neither limit is set, with what goes beyond what was announced and nobody reads.
        total_limit: octets of all messages together, read or passed over; more ends the run with BudgetExceeded.
        batch: when to commit what was marked by the items' `delete`, by QUIT and a session of its own for what follows.
            LOGIN-DELAY is honoured; a server that wants a pause above `POP3Settings.login_pause_limit` has but one
            batch. It needs unique ids. The last batch is committed by `commit` or `quit`.
        progress: is told of every block.

        Raises ConnectionLost (MessageTruncated inside a message), DeadlineExceeded, ProtocolError;
        AmbiguousMessage for a uid that several messages share, and for an entry of another session that shares its uid,
        there or here; LocalProtocolError for an entry without a uid that is not of this session; and what `connect`
        raises, where another session is needed. ValueError, at once, for limits below 0 and what is no Batch
        or can be no messages; and for what among these can name none.
        """
        options = RunOptions(_retr, message_limit, total_limit, batch, progress)
        return Retrieval(self, messages, options)

    async def top(self, message: Message, lines: int = 0, *, limit: int = PREVIEW_LIMIT) -> bytes:
        """Return the header of a message and the first `lines` lines of its body, at most `limit` octets, by
        default 64 KiB (TOP).

        It is a preview, never the message: servers cut it, leave something out, or put something in; some give all of
        the message. What is not wanted is read if `POP3Settings.drain` allows it. Otherwise the connection is left for
        another, in which messages may have other numbers; what was marked is marked there again. Where that cannot be,
        for the message or one that is marked has no unique id of its own, or the next login would have to wait for
        longer than `POP3Settings.login_pause_limit`, the next call meets the end of the connection. Where there is no
        other connection, the next call is told why, and raises what `connect` raises.

        Raises NotSupported where TOP may not be said, ResponseError if it is refused, UnknownMessage if there is no
        such message, ValueError for what can name none and for `lines` and a `limit` below 0; and, where anything was
        marked, and there is no other connection for it, what `connect` raises.
        """
        beginning = await self._ask_top(message, lines, limit)
        if isinstance(beginning, ResponseError):
            raise beginning
        return beginning

    async def preview(self, message: Message, lines: int = 0, *, limit: int = PREVIEW_LIMIT) -> bytes:
        """Do as `top` does, and where TOP is not to be had retrieve the message and read no more than the same of it.

        What is not wanted of it is dealt with as by `top`; where the server has announced that it is more than
        `POP3Settings.drain` allows, nothing of it is read. Servers that mark what was retrieved mark it then.

        Raises ResponseError if that is refused as well, UnknownMessage if there is no such message, ValueError and what
        else `top` raises.
        """
        try:
            beginning = await self._ask_top(message, lines, limit)
        except NotSupported:
            pass
        else:
            if not isinstance(beginning, ResponseError):
                return beginning
        beginning = await read_beginning(Retrieval(self, message, RunOptions(_retr, is_preview=True)), lines, limit)
        if isinstance(beginning, ResponseError):
            raise beginning
        return beginning

    async def fingerprints(self, messages: Iterable[Message] | Message) -> Mapping[Entry, str]:
        """Return what tells the header of each message from any other (`pop3.Fingerprint`), by their entries (TOP).

        It is a key for messages without a unique id. It takes their headers to be different and to stay as they are, so
        it is for knowing what was retrieved already, and not for deleting anything. `pop3.Fingerprint` makes the same
        of a message as it is retrieved. A message that is refused, is not there, or has no header, is not in the
        mapping. Where TOP gives more than the header, that is passed over as by `retrieve`.

        Raises NotSupported where TOP may not be said, and what `retrieve` raises.
        """
        async with self._call():
            self._require("TOP")
        return await read_fingerprints(Retrieval(self, messages, RunOptions(partial(_top, 0))))

    async def _ask_top(self, message: Message, lines: int, limit: int) -> bytes | ResponseError:
        check_message(message)
        check_whole_number("lines", lines, 0)
        check_whole_number("limit", limit, 0)
        async with self._call():
            self._require("TOP")
        return await read_beginning(
            Retrieval(self, message, RunOptions(partial(_top, lines), is_preview=True)), lines, limit
        )

    # Deleting

    async def delete(self, messages: Iterable[Message] | Message, *, force: bool = False) -> DeletionReport:
        """Mark messages (DELE), to be deleted by `commit`; return what came of each. A refusal ends nothing.

        What is marked is held for the report of the session, in some 300 octets for each message.

        messages: entries of a listing, and unique ids; or a single one.
        force: also messages that share their unique id with others. An entry of this session names one of them, a uid
            all.

        Raises AmbiguousMessage for such a one otherwise, and for an entry of another session that shares its uid, there
        or here; LocalProtocolError for an entry without a uid that is not of this session; ValueError for what can
        name no message. Nothing was marked then.
        """
        async with self._call():
            found = await self._find(messages, forced=force)
            entries, missing = await self._transaction.sorted_out(found)
            shared = next((entry for entry in entries if entry.shares_uid), None)
            if shared is not None and not force:
                raise AmbiguousMessage(f"several messages have the unique id {shared.uid!r}", uid=shared.uid or "")
            await self._mark_all(entries)
            refused = self._transaction.marks.refusals_of(entries)
            marked = tuple(entry for entry in entries if entry not in refused) if refused else entries
            return DeletionReport(marked, refused, missing)

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

        reconnect: log in again, for the session is over. LOGIN-DELAY is honoured. Raises what `connect` raises, and
            ConnectionFailed where the pause would be longer than `POP3Settings.login_pause_limit`.
        """
        await self._begin_call()
        try:
            if self._session is None:
                raise self._why_not_connected()
            report = await self._commit_marks()
            if reconnect:
                # The report of a session that was asked to delete nothing is not kept: what is, is of an earlier one.
                is_kept = self.last_commit is report
                await self._reopen()
                report = self.last_commit if is_kept and self.last_commit is not None else report
        except BaseException as error:
            self._end_call(error)
            raise
        self._end_call(None)
        return report

    async def quit(self) -> None:
        """Take leave and close the connection; the server then deletes what was marked (RFC 1939 6).

        Where anything was marked, an error means that it may or may not be deleted: ResponseError for -ERR,
        ConnectionLost or DeadlineExceeded for no answer. `last_commit` has it in detail. Where nothing was, nothing is
        raised, but Desynchronised where what came behind the last message shows that it may be cut off (`suspect`).
        """
        await self._begin_call()
        self._untold = None
        try:
            report = CommitReport() if self._session is None else await self._commit_marks()
        finally:
            self._end_call(None)
        error = report.error
        if error is not None and (report.unknown or (isinstance(error, Desynchronised) and error.suspect is not None)):
            raise error


def _retr(entry: Entry) -> Retr:
    number, _, size, _ = entry
    return Retr(number, size)


def _top(lines: int, entry: Entry) -> Top:
    return Top(entry.number, lines)
