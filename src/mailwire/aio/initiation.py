"""Initiation: from a new connection to a session in which mail can be sent (RFC 5321 3.1, 3.2; RFC 3207; RFC 4954)."""

from functools import partial
from ipaddress import ip_address
from typing import Final

from ..endpoint import Endpoint
from ..errors import (
    AuthenticationFailed,
    ConnectionLost,
    NotSupported,
    ReplyError,
    SecurityError,
    ServiceNotAvailable,
    TLSFailed,
)
from ..sasl.mechanism import Mechanism
from ..smtp import Auth, Ehlo, Extensions, Helo, Lhlo, Reply, ReplyReceived, StartTls
from ..smtp.chunking_defects import is_bad_at_chunking
from .authentication import authenticate, second_chance, situation_of
from .dialogue import Dialogue, raise_refusal

__all__ = ["Initiation", "can_do_with_helo"]


def can_do_with_helo(endpoint: Endpoint) -> bool:
    """Whether nothing is wanted that a server has only behind EHLO: neither STARTTLS nor AUTH, nor LMTP."""
    return endpoint.protocol == "smtp" and endpoint.tls != "starttls" and endpoint.auth is None


class Initiation:
    """The beginning of `dialogue`, as `endpoint` wants it.

    hangs_up_on_ehlo: the server has done so before, and is asked with HELO; or, afterwards, it has done so.
    mechanism: by which we have logged in.
    """

    def __init__(self, dialogue: Dialogue, endpoint: Endpoint, *, hangs_up_on_ehlo: bool) -> None:
        self.hangs_up_on_ehlo: bool = hangs_up_on_ehlo
        self.mechanism: str | None = None
        self._dialogue = dialogue
        self._endpoint = endpoint

    async def run(self) -> None:
        """Greet, secure the connection and log in."""
        session, connection = self._dialogue.session, self._dialogue.connection
        if self._endpoint.tls == "implicit":
            connection.tls_established(is_verified=self._is_verified)
        greeting = await session.greeting()
        if not isinstance(greeting, ReplyReceived):
            raise AssertionError("a greeting is due, and replies are the only events then")
        raise_refusal(greeting)
        hello = await self._say_hello()
        if self._endpoint.tls == "starttls":
            await self._start_tls()
            hello = await self._say_hello()
        self._dialogue.distrusts_chunking = is_bad_at_chunking(greeting.reply, hello)
        if self._endpoint.auth is not None:
            situation = situation_of(self._endpoint, session.stream, self._extensions.mechanisms)
            attempt = partial(_attempt, self._dialogue)
            self.mechanism = await authenticate(self._endpoint, situation, attempt)

    @property
    def _extensions(self) -> Extensions:
        return self._dialogue.connection.extensions or Extensions()

    @property
    def _is_verified(self) -> bool:
        info = self._dialogue.session.stream.tls_info
        return info is not None and info.is_verified

    async def _say_hello(self) -> Reply:
        dialogue, session, endpoint = self._dialogue, self._dialogue.session, self._endpoint
        name = endpoint.local_hostname or _address_literal(session.stream.local_address)
        if dialogue.connection.is_lmtp:
            return await dialogue.ask(Lhlo(name))
        if self.hangs_up_on_ehlo:
            return await self._say_helo(name)
        try:
            return await self._ask(Ehlo(name))
        except ReplyError as error:
            # RFC 5321 3.2: a server that does not know EHLO is asked with HELO; it then has no extensions. Whoever
            # needs one must not be talked out of it that way.
            if not error.reply.is_permanent:
                raise
            if endpoint.tls == "starttls" and not session.stream.tls_session:
                raise SecurityError(f"EHLO was refused ({error.reply}), and without it there is no STARTTLS") from error
            if endpoint.auth is not None:
                raise NotSupported(
                    f"EHLO was refused ({error.reply}), and without it there is no AUTH", extension="AUTH"
                ) from error
            return await self._say_helo(name)

    async def _say_helo(self, name: str) -> Reply:
        self._dialogue.knows_ehlo = False
        return await self._ask(Helo(name))

    async def _ask(self, hello: Ehlo | Helo) -> Reply:
        # Behind a refused EHLO a server may have hung up before HELO has come: that is its answer to EHLO as well.
        session = self._dialogue.session
        session.has_heard = False
        try:
            return await self._dialogue.ask(hello)
        except ConnectionLost as error:
            self.hangs_up_on_ehlo = not (session.has_heard or isinstance(error, ServiceNotAvailable))
            raise

    async def _start_tls(self) -> None:
        if "STARTTLS" not in self._extensions:
            raise SecurityError(f"{self._endpoint} does not offer STARTTLS, and TLS is required")
        try:
            await self._dialogue.ask(StartTls())
        except ReplyError as error:
            refused = f"{self._endpoint} offers STARTTLS and refuses it: {error.reply}"
            raise TLSFailed(refused, answer=error.reply) from error
        await self._dialogue.session.start_tls()
        self._dialogue.connection.tls_established(is_verified=self._is_verified)


async def _attempt(dialogue: Dialogue, _name: str, mechanism: Mechanism | None) -> None:
    if mechanism is None:
        raise AssertionError("SMTP has no way to log in besides SASL")
    command = Auth(mechanism)
    try:
        await dialogue.log_in(command)
    except AuthenticationFailed as error:
        is_unavailable = isinstance(error.answer, Reply) and _is_unavailable(error.answer)
        chance = second_chance(command.exchange, error, is_unavailable=is_unavailable)
        if chance is not None:
            raise chance from None
        raise


# RFC 4954 4 and 6: the mechanism is unknown, too weak for this user, or for links with TLS only. Enhanced codes say the
# same of codes that say no more than that the command is none, or is refused; any other code says by itself what is
# wrong, as 535 does of the credentials, and whatever is said besides, they are not presented again.
_UNAVAILABLE: Final = frozenset({504, 534, 538})
_UNSPECIFIC: Final = frozenset({500, 501, 502, 550})
_UNAVAILABLE_ENHANCED: Final = frozenset({(5, 5, 4), (5, 7, 9), (5, 7, 11)})


def _is_unavailable(reply: Reply) -> bool:
    if reply.code not in _UNSPECIFIC:
        return reply.code in _UNAVAILABLE
    code = reply.enhanced_code
    return code is not None and (code.class_, code.subject, code.detail) in _UNAVAILABLE_ENHANCED


def _address_literal(address: tuple[object, ...] | str | None) -> str:
    # RFC 5321 4.1.4: a client without a name of its own says its address. It asks no resolver for one: that would take
    # its time, and an attacker may have a say in the answer.
    try:
        host = ip_address(str(address[0]).partition("%")[0]) if isinstance(address, tuple) else None
    except ValueError:
        host = None
    if host is None:
        return "[127.0.0.1]"  # a socket without an IP address is one of this machine's own
    return f"[IPv6:{host}]" if host.version == 6 else f"[{host}]"
