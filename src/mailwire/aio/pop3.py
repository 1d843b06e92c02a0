"""POP3Client: retrieves mail over one connection."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from functools import partial
from typing import Final, TypeVar

from ..endpoint import Endpoint
from ..errors import (
    AuthenticationFailed,
    BudgetExceeded,
    LocalProtocolError,
    MaildropLocked,
    MailwireError,
    ResponseError,
    SecurityError,
    TLSFailed,
)
from ..pop3 import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Apop,
    Auth,
    Capa,
    Capabilities,
    Command,
    Connection,
    Dele,
    Entry,
    Event,
    List,
    MessageData,
    MessageEnd,
    Pass,
    Quit,
    RefusalCause,
    Response,
    ResponseReceived,
    Retr,
    Rset,
    State,
    Stls,
    Uidl,
    User,
    survey,
)
from ..sasl import MECHANISMS, Mechanism, Option, Password
from ..transcript import Transcript
from .authentication import MechanismUnavailable, authenticate, login_refusal, second_chance, situation_of
from .client import Client
from .session import Session

__all__ = ["Entry", "POP3Client", "RetrievedItem"]

T = TypeVar("T")

# What a password may be presented by besides SASL. USER stands behind LOGIN: it tells the same to the same. APOP is
# used only where it is named.
_OPTIONS: Final = (*MECHANISMS, Option("USER", Password, True), Option("APOP", Password, True, is_automatic=False))


class RetrievedItem:
    """A message as it is retrieved: iterate over it for its blocks, or `read` it whole.

    entry: what was asked for.
    refusal: the server's -ERR, if it does not give this message; then there are no blocks.
    octets: how much of it has come so far.
    is_complete: whether the end of it was seen.
    """

    def __init__(self, entry: Entry, response: Response, blocks: AsyncIterator[bytes]) -> None:
        self.entry = entry
        self.refusal = None if response.ok else response
        self.octets = 0
        self.is_complete = False
        self._command = f"RETR {entry.number}"
        self._blocks = blocks
        self._is_taken = False  # somebody has begun to read it

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the message in blocks as they arrive, octet for octet.

        Raises ResponseError if the server refused it, MessageTruncated if the connection is lost before its end,
        LocalProtocolError if it is read a second time, or was passed over: it comes once.
        """
        if self.refusal is not None:
            raise ResponseError(
                f"{self._command} was refused: {self.refusal}", command=self._command, response=self.refusal
            )
        if self._is_taken:
            raise LocalProtocolError(f"the answer to {self._command} was read already, or passed over")
        self._is_taken = True
        async for block in self._blocks:
            self.octets += len(block)
            yield block
        self.is_complete = True

    async def pass_over(self) -> None:
        """Let what was not read of the message pass unread. The next item does that by itself."""
        self._is_taken = True
        if self.refusal is None:
            async for _ in self._blocks:
                pass

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole message. Raises BudgetExceeded once it proves longer than `limit` octets, and as above."""
        blocks: list[bytes] = []
        async for block in self:
            blocks.append(block)
            if limit is not None and self.octets > limit:
                raise BudgetExceeded(f"message {self.entry.number} is longer than {limit} octets")
        return b"".join(blocks)


class POP3Client(Client[Event]):
    """A connection to a POP3 server.

    endpoint: an Endpoint or its URL.
    transcript: where the dialogue is recorded; by default the last 100 entries are kept, and errors show the end of it.

    ::

        async with POP3Client("pop3s://me:secret@pop.example.org") as client:
            async for item in client.retrieve(await client.listing()):
                message = await item.read()

    Nothing is deleted on the server unless `delete` asks for it and `quit` is answered with +OK. Leaving `async with`
    by an error cuts the connection, and then nothing is deleted (RFC 1939 6).
    """

    def __init__(self, endpoint: Endpoint | str, *, transcript: Transcript | None = None) -> None:
        super().__init__(endpoint, "pop3", transcript)
        self._connection = self._new_machine()
        self._knows_capa = False
        self._deleting = False  # whether quitting decides about messages
        self._retrieval: AsyncGenerator[RetrievedItem, None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced last; nothing before it was asked."""
        return self._connection.capabilities or Capabilities()

    # Calls

    async def listing(self) -> list[Entry]:
        """Return what is in the maildrop: LIST and UIDL asked at once and joined by message number.

        A server without UIDL gives entries without a uid. Raises ResponseError if LIST is refused.
        """
        async with self._call() as session:
            listed, identified = List(), Uidl()
            self._connection.send(listed)
            self._connection.send(identified)
            sizes_response = await self._next_response(session)
            uids_response = await self._next_response(session)
            _raise_refusal(sizes_response)
            scan = listed.parse(sizes_response.response)
            uids = identified.parse(uids_response.response) if uids_response.response.ok else None
            return list(survey(scan, uids))

    def retrieve(self, entries: Iterable[Entry]) -> AsyncGenerator[RetrievedItem, None]:
        """Retrieve messages: an async iterator of one item for each entry, in order.

        Where the server allows pipelining, many are asked for at a time. A consumer that is slow holds the server back;
        what it leaves of an item unread is passed over. A message that the server refuses is an item with `refusal`,
        and the run goes on. To break off before the last item cuts the connection.

        Raises ConnectionLost, DeadlineExceeded, ProtocolError; ValueError for a number that no message has.
        """
        wanted = list(entries)
        commands = [Retr(entry.number, size=entry.size) for entry in wanted]

        async def run() -> AsyncGenerator[RetrievedItem, None]:
            async with self._call() as session:
                self._retrieval = retrieval  # until another takes its place
                for command in commands:
                    self._connection.send(command)
                for entry in wanted:
                    received = await self._next_response(session)
                    item = RetrievedItem(entry, received.response, self._blocks(session, entry.number))
                    yield item
                    await item.pass_over()

        retrieval = run()
        return retrieval

    async def execute(self, command: Command[T]) -> T:
        """Send `command` and return what its response means.

        Raises ResponseError if it is refused, AuthenticationFailed if it is a login; SecurityError for one that would
        give a password away on a link without TLS. Messages are retrieved by `retrieve`, TLS is begun by `connect`:
        LocalProtocolError for Retr, Top and Stls.
        """
        if command.streamed:
            raise LocalProtocolError(f"{command} has a message for an answer: use retrieve()")
        if isinstance(command, Stls):
            raise LocalProtocolError('TLS is begun by connect(): set tls="starttls" in the endpoint')
        async with self._call() as session:
            return command.parse(await self._execute(session, command))

    async def quit(self) -> None:
        """Take leave and close the connection; the server then deletes what was marked by DELE (RFC 1939 6).

        Where anything was marked, an error means that it may or may not be deleted: ResponseError for -ERR,
        ConnectionLost or DeadlineExceeded for no answer. Where nothing was, nothing is raised.
        """
        try:
            async with self._call() as session:
                try:
                    await self._ask(session, Quit())
                finally:
                    await session.close()
        except MailwireError:
            if self._deleting:
                raise
        finally:
            self._deleting = False
            self.abort()

    # Connecting

    def _new_machine(self) -> Connection:
        window = PIPELINING_WINDOW if self.endpoint.pipelining else LOCKSTEP
        self._connection = Connection(window=window, trace=self._record)
        return self._connection

    async def _begin(self, session: Session[Event]) -> None:
        self._deleting = False
        _raise_refusal(_response(await session.greeting()))
        await self._ask_capabilities(session)
        if self.endpoint.tls == "starttls":
            await self._start_tls(session)
            await self._ask_capabilities(session)
        if self.endpoint.auth is not None:
            situation = situation_of(self.endpoint, session.stream, self._offered())
            attempt = partial(self._attempt, session)
            self.mechanism = await authenticate(self.endpoint, self.endpoint.auth, situation, attempt, _OPTIONS)

    async def _ask_capabilities(self, session: Session[Event]) -> None:
        # A server without CAPA (RFC 2449) refuses it, and is taken at RFC 1939's word.
        session.expect_silence()
        self._connection.send(Capa())
        self._knows_capa = (await self._next_response(session)).response.ok

    async def _start_tls(self, session: Session[Event]) -> None:
        if self._knows_capa and "STLS" not in self.capabilities:
            raise SecurityError(f"{self.endpoint} does not offer STLS, and TLS is required")
        try:
            await self._ask(session, Stls())
        except ResponseError as error:
            raise TLSFailed(f"{self.endpoint} refuses STLS, and TLS is required: {error.response}") from error
        await session.start_tls()
        self._connection.tls_established()

    def _offered(self) -> tuple[str, ...]:
        # A server that names no way to log in is taken at RFC 1939's word.
        offered = self.capabilities.mechanisms
        if "USER" in self.capabilities or not offered:
            offered += ("USER",)
        return offered if self._timestamp is None else (*offered, "APOP")

    @property
    def _timestamp(self) -> bytes | None:
        # That of a greeting in the clear is forgotten with the greeting (RFC 2595 4).
        greeting = self._connection.greeting
        return None if greeting is None else greeting.timestamp

    async def _attempt(self, session: Session[Event], name: str, mechanism: Mechanism | None) -> None:
        if mechanism is not None:
            command = Auth(mechanism)
            try:
                await self._log_in(session, command)
            except AuthenticationFailed as error:
                chance = second_chance(command.exchange, error, is_unavailable=_is_unavailable(command, error))
                if chance is not None:
                    raise chance from None
                raise
            return
        try:
            commands = self._own_login(name)
        except ValueError as unfit:
            raise MechanismUnavailable.to_present(name, unfit) from None
        await self._log_in(session, *commands)

    def _own_login(self, name: str) -> tuple[Command[Response], ...]:
        # What POP3 has besides SASL.
        credentials, timestamp = self.endpoint.auth, self._timestamp
        if not isinstance(credentials, Password):
            raise AssertionError(f"{name} is for passwords")
        if credentials.authzid:
            raise ValueError(f"{name} has no place for an authzid")
        if name == "APOP" and timestamp is not None:
            return (Apop(credentials.user, credentials.password, timestamp),)
        return User(credentials.user), Pass(credentials.password)

    async def _log_in(self, session: Session[Event], *commands: Command[Response]) -> Response:
        session.expect_silence()
        for command in commands:
            self._connection.send(command)
        response: Response | None = None
        for command in commands:
            response = (await self._next_response(session)).response
            if not response.ok:
                self._raise_login_refusal(command, response)
        if response is None:
            raise AssertionError("a login takes a command")
        return response

    def _raise_login_refusal(self, command: Command[Response], response: Response) -> None:
        exchange = command.exchange if isinstance(command, Auth) else None
        if exchange is not None and exchange.failure is not None:
            self.abort()  # who sent what led to a cancel, is not asked again
        elif response.cause not in (None, RefusalCause.CREDENTIALS):
            kind = MaildropLocked if response.cause is RefusalCause.IN_USE else ResponseError
            raise kind(f"{command} was refused: {response}", command=str(command), response=response)
        raise login_refusal(str(command), exchange, response)

    # Asking

    async def _blocks(self, session: Session[Event], number: int) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                event = await session.next_event(self.endpoint.timeouts.block, "message", number)
                if isinstance(event, MessageEnd):
                    return
                if not isinstance(event, MessageData):
                    raise AssertionError("behind the first line of a message come its data")
                yield event.data
        except BaseException as error:
            # The consumer is waiting here, outside the call: it must not be left with half an answer.
            self.abort()
            if isinstance(error, MailwireError):
                self._note(error)
            raise

    async def _next_response(self, session: Session[Event]) -> ResponseReceived:
        awaited = self._connection.awaited
        event = await session.next_event(self._patience(awaited), "the answer to", awaited)
        return _response(event)

    def _patience(self, command: object) -> float | None:
        timeouts = self.endpoint.timeouts
        return timeouts.quit if isinstance(command, Quit) and not self._deleting else timeouts.response

    async def _execute(self, session: Session[Event], command: Command[object]) -> Response:
        if isinstance(command, Apop | Auth | Pass):
            if not isinstance(command, Auth) or command.mechanism.exposes_password:
                self._refuse_exposure(session, command)
            return await self._log_in(session, command)
        marked = self._deleting
        if isinstance(command, Dele):
            self._deleting = True  # until the server says no
        try:
            response = await self._ask(session, command)
        except ResponseError:
            self._deleting = marked
            raise
        if isinstance(command, Rset):
            self._deleting = False
        return response

    async def _ask(self, session: Session[Event], command: Command[object]) -> Response:
        session.expect_silence()
        self._connection.send(command)
        received = await self._next_response(session)
        _raise_refusal(received)
        return received.response

    async def _break_off(self) -> None:
        if self._retrieval is None:
            await super()._break_off()
        else:
            await self._retrieval.aclose()

    @property
    def _is_clean(self) -> bool:
        connection = self._connection
        return connection.awaited is None and connection.state in (
            State.AUTHORIZATION,
            State.TRANSACTION,
        )


def _response(event: Event) -> ResponseReceived:
    if not isinstance(event, ResponseReceived):
        raise AssertionError("while a command is in flight, its response comes first")
    return event


def _raise_refusal(received: ResponseReceived) -> None:
    if not received.response.ok:
        command = str(received.command)
        raise ResponseError(f"{command} was refused: {received.response}", command=command, response=received.response)


def _is_unavailable(command: Auth, error: AuthenticationFailed) -> bool:
    # RFC 5034 4 has no code for it. What was refused without a code and before anything was said, was not refused for
    # what it said.
    response, exchange = error.answer, command.exchange
    is_unblamed = isinstance(response, Response) and response.code is None and response.cause is None
    return is_unblamed and not exchange.has_spoken
