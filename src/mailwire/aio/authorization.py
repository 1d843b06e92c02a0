"""Authorization: how a POP3 session comes from its greeting to an open maildrop (RFC 1939 4).

1. CAPA is asked before TLS and again after it, for what was said in the clear is forgotten (RFC 2595 4), and once more
   after the login, for some servers tell only then what they can do (RFC 2449 5). A server that does not know CAPA is
   not asked again behind the login.
2. What CAPA does not list is not said. A server without CAPA is taken at RFC 1939's word.
3. One login is tried, as `authentication` has it.
4. UTF8 and LANG are said where they are wanted and announced, and count for nothing where they are refused. UTF8 has
   its place before the login and behind STLS (RFC 6856 2.1). The language of the server's texts is asked for before the
   login, for its refusals are texts, and behind it where only then it is announced (RFC 6856 3).
5. Exchange is let ask for a mechanism's initial response. It knows AUTH as it was before RFC 5034, hangs up on an
   XOAUTH2 with one, and announces PLAIN all the same. Such a greeting may be forged: it costs a round trip.
"""

from typing import Final

from ..endpoint import Endpoint
from ..errors import (
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    MaildropLocked,
    ResponseError,
    SecurityError,
    TLSFailed,
)
from ..pop3 import Apop, Auth, Capa, Capabilities, Command, Lang, Pass, RefusalCause, Response, Stls, User, Utf8
from ..sasl import MECHANISMS, Mechanism, Option, Password
from .authentication import MechanismUnavailable, authenticate, login_refusal, second_chance, situation_of
from .pop3_dialogue import Dialogue, raise_refusal

__all__ = ["Authorization"]

# What a password may be presented by besides SASL. USER stands behind LOGIN: it tells the same to the same. APOP is
# used only where it is named.
_OPTIONS: Final = (*MECHANISMS, Option("USER", Password, True), Option("APOP", Password, True, is_automatic=False))

# In the greeting of Exchange since 2007, and of Exchange Online.
_EXCHANGE: Final = b"Microsoft Exchange POP3 service"


class Authorization:
    """The state AUTHORIZATION of one session.

    asks_capabilities: False for a server that does not stand to be asked.
    language: the tag of the language that the server's texts should be in.
    wants_utf8: whether messages should come in UTF-8, headers and all.
    sends_initial_response: whether AUTH has one; None for what is known of the server and of the mechanism.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialogue: Dialogue,
        *,
        asks_capabilities: bool,
        language: str | None,
        wants_utf8: bool,
        sends_initial_response: bool | None,
    ) -> None:
        self.knows_capa: bool = False
        self.is_utf8: bool = False  # the server has agreed to it
        self._endpoint = endpoint
        self._dialogue = dialogue
        self._asks_capabilities = asks_capabilities
        self._language = language  # None once it was asked for
        self._wants_utf8 = wants_utf8
        self._sends_initial_response = sends_initial_response

    async def begin(self) -> str | None:
        """Lead the session to where the endpoint wants it; return the mechanism that has logged in, if one has."""
        greeting = await self._dialogue.greeting()
        raise_refusal(greeting)
        if self._sends_initial_response is None and _EXCHANGE in greeting.response.line:
            self._sends_initial_response = False
        await self._ask_capabilities()
        if self._endpoint.tls == "starttls":
            await self._start_tls()
            await self._ask_capabilities()
        await self._ask_for_language()
        if self._wants_utf8 and "UTF8" in self._capabilities:
            self.is_utf8 = await self._is_granted(Utf8())
        if self._endpoint.auth is None:
            return None
        situation = situation_of(self._endpoint, self._dialogue.session.stream, self._offered())
        mechanism = await authenticate(self._endpoint, situation, self._attempt, _OPTIONS)
        if self.knows_capa:
            await self._ask_capabilities()
            await self._ask_for_language()
        return mechanism

    async def log_in(self, *commands: Command[Response]) -> Response:
        """Say `commands`, which are a login; return the response to the last of them.

        Raises AuthenticationFailed, or ResponseError where the credentials are not to blame.
        """
        self._dialogue.session.expect_silence()
        for command in commands:
            self._dialogue.send(command)
        response: Response | None = None
        for command in commands:
            response = (await self._dialogue.next_response()).response
            if not response.ok:
                self._raise_refusal(command, response)
        if response is None:
            raise AssertionError("a login takes a command")
        return response

    # Private

    @property
    def _capabilities(self) -> Capabilities:
        return self._dialogue.connection.capabilities or Capabilities()

    async def _ask_capabilities(self) -> None:
        # A server without CAPA (RFC 2449) refuses it.
        if not self._asks_capabilities:
            return
        try:
            self.knows_capa = await self._is_granted(Capa())
        except (ConnectionLost, DeadlineExceeded) as error:
            # We do not go on without by ourselves: whoever can cut the connection would choose how we log in.
            error.add_note("some servers do not stand to be asked for capabilities: POP3Settings.asks_capabilities")
            raise

    async def _ask_for_language(self) -> None:
        if self._language is not None and "LANG" in self._capabilities:
            language, self._language = self._language, None
            await self._is_granted(Lang(language))

    async def _is_granted(self, command: Command[object]) -> bool:
        self._dialogue.session.expect_silence()
        self._dialogue.send(command)
        return (await self._dialogue.next_response()).response.ok

    async def _start_tls(self) -> None:
        if self.knows_capa and "STLS" not in self._capabilities:
            raise SecurityError(f"{self._endpoint} does not offer STLS, and TLS is required")
        try:
            await self._dialogue.ask(Stls())
        except ResponseError as error:
            refused = f"{self._endpoint} refuses STLS, and TLS is required: {error.response}"
            raise TLSFailed(refused, answer=error.response) from error
        await self._dialogue.session.start_tls()
        self._dialogue.connection.tls_established()

    def _offered(self) -> tuple[str, ...]:
        # A server that names no way to log in is taken at RFC 1939's word.
        offered = self._capabilities.mechanisms
        if "USER" in self._capabilities or not offered:
            offered += ("USER",)
        return offered if self._timestamp is None else (*offered, "APOP")

    @property
    def _timestamp(self) -> bytes | None:
        # That of a greeting in the clear is forgotten with the greeting (RFC 2595 4).
        greeting = self._dialogue.connection.greeting
        return None if greeting is None else greeting.timestamp

    async def _attempt(self, name: str, mechanism: Mechanism | None) -> None:
        if mechanism is not None:
            command = Auth(mechanism, self._sends_initial_response)
            try:
                await self.log_in(command)
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
        await self.log_in(*commands)

    def _own_login(self, name: str) -> tuple[Command[Response], ...]:
        # What POP3 has besides SASL.
        credentials, timestamp = self._endpoint.auth, self._timestamp
        if not isinstance(credentials, Password):
            raise AssertionError(f"{name} is for passwords")
        if credentials.authzid:
            raise ValueError(f"{name} has no place for an authzid")
        if name == "APOP" and timestamp is not None:
            return (Apop(credentials.user, credentials.password, timestamp),)
        return User(credentials.user), Pass(credentials.password)

    def _raise_refusal(self, command: Command[Response], response: Response) -> None:
        exchange = command.exchange if isinstance(command, Auth) else None
        if exchange is not None and exchange.failure is not None:
            self._dialogue.is_over = True  # who sent what led to a cancel, is not asked again
        elif response.cause not in (None, RefusalCause.CREDENTIALS):
            kind = MaildropLocked if response.cause is RefusalCause.IN_USE else ResponseError
            raise kind(f"{command} was refused: {response}", command=str(command), response=response)
        raise login_refusal(str(command), exchange, response)


def _is_unavailable(command: Auth, error: AuthenticationFailed) -> bool:
    # RFC 5034 4 has no code for it. What was refused without a code and before anything was said, was not refused for
    # what it said.
    response, exchange = error.answer, command.exchange
    is_unblamed = isinstance(response, Response) and response.code is None and response.cause is None
    return is_unblamed and not exchange.has_spoken
