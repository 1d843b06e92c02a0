"""Authentication: one login, by the best mechanism that both sides have (RFC 4954, RFC 5034).

1. The credentials are tried once. A refusal of them is the end of it: another mechanism would be a second guess, and
   servers count those.
2. Only a server that does not have the mechanism it offered is asked for the next one. If that was bound to the TLS
   session (-PLUS), SCRAM without it says so, and an honest server that has it refuses: then somebody is in the middle.
3. An access token is asked for once in a login, whatever mechanisms are tried, and once more when the server has
   refused it, where there is somebody to ask. If the connection is lost then, the refusal is what is told.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

from ..endpoint import Endpoint
from ..errors import AuthenticationFailed, ConnectionLost, SecurityError, ServerUnproven
from ..sasl import (
    MECHANISMS,
    Anonymous,
    Credentials,
    Exchange,
    External,
    Mechanism,
    OAuthBearer,
    OAuthFailure,
    OAuthToken,
    Option,
    Password,
    Situation,
    XOAuth2,
    candidates,
    is_weaker,
    make_mechanism,
)
from ..sasl.mechanism import given_instead
from .stream import Stream
from .tls import channel_bindings, server_name

if TYPE_CHECKING:  # who speaks one protocol does without the other
    from ..pop3.response import Response
    from ..smtp.reply import Reply

__all__ = [
    "Attempt",
    "MechanismUnavailable",
    "TokenRefused",
    "authenticate",
    "login_refusal",
    "refuse_exposure",
    "second_chance",
    "situation_of",
]

Attempt = Callable[[str, Mechanism | None], Awaitable[None]]
"""Logs in by what is called so: a mechanism, or what a protocol has besides SASL. Raises AuthenticationFailed,
MechanismUnavailable, TokenRefused, and the errors of any command."""

_SASL = frozenset(option.name for option in MECHANISMS)


class TokenRefused(Exception):
    """The server refused an access token, in good order: a fresh one may be accepted. `error` says so in our words."""

    def __init__(self, error: AuthenticationFailed) -> None:
        super().__init__(str(error))
        self.error = error


class MechanismUnavailable(Exception):
    """This mechanism cannot be used, and the next one may be: the server does not have it, though it was offered, or it
    has no form for the credentials (what SASLprep refuses may be right for PLAIN). `error` says so in our words."""

    def __init__(self, error: AuthenticationFailed) -> None:
        super().__init__(str(error))
        self.error = error

    @classmethod
    def to_present(cls, name: str, unfit: ValueError) -> Self:
        """Say of the mechanism called `name` why the credentials do not fit it."""
        command = f"AUTH {name}" if name in _SASL else name
        return cls(AuthenticationFailed(f"{name} cannot present these credentials: {unfit}", command=command))


def situation_of(endpoint: Endpoint, stream: Stream, offered: Collection[str]) -> Situation:
    """Return what there is to choose from on a connection whose server offers the mechanisms `offered`."""
    session = stream.tls_session
    return Situation(
        offered=offered,
        is_confidential=_is_confidential(endpoint, stream),
        channel_bindings={} if session is None else channel_bindings(session),
        host=server_name(endpoint),
        port=endpoint.port,
    )


def refuse_exposure(endpoint: Endpoint, stream: Stream, command: object) -> None:
    """Raise SecurityError if `command`, which shows the credentials, would go over an open link without leave."""
    if not _is_confidential(endpoint, stream):
        raise _exposed_by(command)


def login_refusal(command: str, exchange: Exchange | None, answer: "Reply | Response") -> AuthenticationFailed:
    """Return the error for a login that the server has refused in the end by its `answer`.

    command: as a transcript shows it. exchange: of SASL, if it was one; why it was cancelled by us goes first.
    """
    failure = None if exchange is None else exchange.failure
    mechanism = None if exchange is None else exchange.mechanism
    kind = AuthenticationFailed if exchange is None or not exchange.is_server_unproven else ServerUnproven
    return kind(
        f"{command}: {f'{failure}; ' if failure else ''}{answer}",
        command=command,
        answer=answer,
        oauth=mechanism.failure if isinstance(mechanism, OAuthBearer | XOAuth2) else None,
    )


def second_chance(
    exchange: Exchange, error: AuthenticationFailed, *, is_unavailable: bool
) -> MechanismUnavailable | TokenRefused | None:
    """Return what to raise in place of `error` where that need not be the end of the login; None where it is.

    is_unavailable: whether the server said that it does not have the mechanism.
    """
    if exchange.failure is not None or error.answer is None:
        return None  # who sent what made us cancel the exchange, or claimed a success that is none, is not asked again
    if is_unavailable:
        return MechanismUnavailable(error)
    is_of_token = isinstance(exchange.mechanism, OAuthBearer | XOAuth2)
    return TokenRefused(error) if is_of_token and not error.is_transient else None


async def authenticate(
    endpoint: Endpoint,
    situation: Situation,
    attempt: Attempt,
    options: Sequence[Option] = MECHANISMS,
) -> str:
    """Log in by `attempt`, with the credentials of `endpoint`, which has some; return the name of the mechanism.

    options: what there is to choose among.

    Raises AuthenticationFailed, also where there is no mechanism; SecurityError where only such are left as would give
    the credentials away, or are weaker than the remembered one; ValueError for a function that makes no mechanism; and
    what a provider of tokens raises.
    """
    credentials = endpoint.auth if isinstance(endpoint.auth, Password | OAuthToken | External | Anonymous) else None
    if credentials is None:
        return await _use_own(_made(endpoint), endpoint, situation, attempt, options)
    names = _safe_candidates(endpoint, credentials, situation, options)
    presented = _Presented(credentials, endpoint.timeouts.token)
    problem: AuthenticationFailed | None = None
    unbound: str | None = None  # which -PLUS the server does not have, though it offers it
    for name in names:
        try:
            await _use(name, endpoint, presented, situation, attempt)
        except MechanismUnavailable as unavailable:
            problem = unavailable.error
            situation = situation.without(name)
            if name.endswith("-PLUS") and problem.answer is not None:
                unbound = name
        except AuthenticationFailed as error:
            if unbound is not None:
                error.add_note(
                    f"before that, {unbound} was refused as unknown, though it is offered: somebody may be answering "
                    "in the server's place; if it is the server, Preferences.mechanisms without -PLUS may do"
                )
            raise
        else:
            return name
    if problem is None:
        allowed = endpoint.auth_preferences.mechanisms
        limits = "" if allowed is None else f", and Preferences.mechanisms allows {', '.join(allowed) or 'none'}"
        problem = AuthenticationFailed(
            f"{endpoint} offers no mechanism for {type(credentials).__name__} that may be used: it has "
            f"{', '.join(situation.offered) or 'none'}{limits}",
            command="AUTH",
        )
    raise problem


def _is_confidential(endpoint: Endpoint, stream: Stream) -> bool:
    return stream.tls_session is not None or endpoint.allow_cleartext_auth


def _exposed_by(what: object) -> SecurityError:
    return SecurityError(
        f"{what} would give the credentials away in the clear: use implicit TLS or STARTTLS, or write "
        "allow_cleartext_auth=True if the link is safe all the same"
    )


def _safe_candidates(
    endpoint: Endpoint, credentials: Credentials, situation: Situation, options: Sequence[Option]
) -> Sequence[str]:
    preferences = endpoint.auth_preferences
    names = candidates(credentials, situation, preferences, options)
    if not names and candidates(credentials, replace(situation, is_confidential=True), preferences, options):
        raise _exposed_by(f"{endpoint} offers only mechanisms that")
    remembered = preferences.remembered
    if remembered is None:
        return names
    as_good = [name for name in names if not is_weaker(name, remembered, options)]
    if not as_good:
        raise SecurityError(
            f"{endpoint} offers nothing as good as {remembered} any more, it has "
            f"{', '.join(situation.offered) or 'none'}: somebody may be answering in its place"
        )
    return as_good


def _made(endpoint: Endpoint) -> Mechanism:
    # What makes it is in no local, which a traceback may show: a functools.partial shows what it holds.
    mechanism: Any = endpoint.auth() if callable(endpoint.auth) else None
    got = given_instead(mechanism)
    if got is None:
        return cast("Mechanism", mechanism)
    del mechanism  # it may be the password, and a traceback may show locals
    raise ValueError(
        f"expected the function that is auth to return a Mechanism, of a class derived from sasl.Mechanism, got {got}"
    )


async def _use_own(
    mechanism: Mechanism, endpoint: Endpoint, situation: Situation, attempt: Attempt, options: Sequence[Option]
) -> str:
    name, preferences = mechanism.name, endpoint.auth_preferences
    allowed, remembered = preferences.mechanisms, preferences.remembered
    if mechanism.exposes_password and not situation.is_confidential:
        raise _exposed_by(name)
    if remembered is not None and is_weaker(name, remembered, options):
        raise SecurityError(f"{name} is not as good as {remembered}, which Preferences.remembered asks for")
    if allowed is not None and name not in allowed:
        raise AuthenticationFailed(
            f"{name} may not be used: Preferences.mechanisms allows {', '.join(allowed) or 'none'}",
            command=f"AUTH {name}",
        )
    if name not in situation.offered:
        raise AuthenticationFailed(
            f"{endpoint} does not offer {name}: it has {', '.join(situation.offered) or 'none'}",
            command=f"AUTH {name}",
        )
    problem: AuthenticationFailed | None = None
    try:
        await attempt(name, mechanism)
    except (MechanismUnavailable, TokenRefused) as refusal:
        problem = refusal.error
    if problem is not None:
        raise problem
    return name


class _Presented:
    # The credentials as they are presented in one login. One token is provided for all mechanisms that are tried, and
    # another one where the server has refused it.

    def __init__(self, credentials: Credentials, seconds: float | None) -> None:
        self._credentials = credentials
        self._seconds = seconds
        self._current: Credentials | None = None
        self.refusal: AuthenticationFailed | None = None  # of the first token

    async def current(self) -> Credentials:
        if self._current is None:
            self._current = await self._provided(None)
        return self._current

    async def renew(self, refusal: AuthenticationFailed) -> None:
        # Raises `refusal` where there is no other token, or this was the other one.
        if self.refusal is not None:
            raise refusal
        self.refusal = refusal
        provided = await self._provided(refusal.oauth or OAuthFailure())
        if provided == self._current:
            raise refusal
        self._current = provided

    async def _provided(self, refused: OAuthFailure | None) -> Credentials:
        if not isinstance(self._credentials, OAuthToken):
            return self._credentials
        from .tokens import provide_token  # for access tokens alone

        return await provide_token(self._credentials, refused, self._seconds)


async def _use(name: str, endpoint: Endpoint, presented: _Presented, situation: Situation, attempt: Attempt) -> None:
    while True:
        shown = await presented.current()
        try:
            mechanism = make_mechanism(name, shown, situation, endpoint.auth_preferences) if name in _SASL else None
        except ValueError as unfit:
            raise MechanismUnavailable.to_present(name, unfit) from None
        try:
            await attempt(name, mechanism)
        except TokenRefused as refusal:
            refused = refusal.error
        except (ConnectionLost, AuthenticationFailed) as error:
            # Many servers hang up on whom they have refused. A caller who was told of that alone would take it for an
            # accident, and come again with what was refused.
            if presented.refusal is None or not _is_loss(error):
                raise
            raise presented.refusal from error
        else:
            return
        await presented.renew(refused)


def _is_loss(error: Exception) -> bool:
    # The server may say 421 before it hears the command that this seems to answer. The error of a login that is
    # answered so has ServiceNotAvailable for its cause, which is a ConnectionLost.
    return isinstance(error, ConnectionLost) or isinstance(error.__cause__, ConnectionLost)
