"""The choice of a mechanism: the strongest that both sides know, among those the situation allows.

1. Stronger before weaker: SCRAM bound to the TLS session, SCRAM, then those that hand over the password or the token.
2. What would let somebody who listens log in, now or after some guessing, is for confidential links alone.
3. CRAM-MD5 is used only where the caller names it: it proves no server, and under TLS it gains nothing over PLAIN.
4. A server cannot talk a client into a weaker mechanism by refusing: whoever drives this goes to the next one only
   where the server says that it does not have the mechanism, never where it refuses the credentials, and chooses among
   what is left `Situation.without` it. Of one that has the -PLUS forms in truth, SCRAM is not to be had without them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Final, TypeAlias, get_args

from .._wire.text import check_kind
from .anonymous import AnonymousMechanism
from .channel_binding import BindingType, ChannelBinding
from .cram_md5 import CramMD5
from .credentials import Password
from .external import ExternalMechanism
from .identities import Anonymous, External, OAuthToken
from .keys import HashName, KeyCache
from .login import Login
from .mechanism import Mechanism
from .oauth import OAuthBearer, XOAuth2
from .plain import Plain
from .scram import MAXIMUM_ITERATIONS, MINIMUM_ITERATIONS, Scram, check_iterations

__all__ = [
    "MECHANISMS",
    "Credentials",
    "MechanismFactory",
    "Option",
    "Preferences",
    "Situation",
    "candidates",
    "is_weaker",
    "make_mechanism",
]

MechanismFactory: TypeAlias = Callable[[], Mechanism]
"""Makes a mechanism of the caller's own, a new one for each login."""

Credentials: TypeAlias = Password | OAuthToken | External | Anonymous | MechanismFactory
"""What one can log in with."""


@dataclass(frozen=True, slots=True)
class Option:
    """A mechanism among which is chosen.

    takes: the kind of credentials that it presents.
    exposes_password: whether it is for confidential links alone.
    is_automatic: whether it may be chosen without being named.
    """

    name: str
    takes: type[Password | OAuthToken | External | Anonymous]
    exposes_password: bool
    is_automatic: bool = True


_HASHES: Final[Mapping[str, HashName]] = {
    "SCRAM-SHA-512": "SHA-512",
    "SCRAM-SHA-256": "SHA-256",
    "SCRAM-SHA-1": "SHA-1",
}
_PLUS: Final = "-PLUS"

MECHANISMS: Final[Sequence[Option]] = (
    *(Option(name + _PLUS, Password, Scram.exposes_password) for name in _HASHES),
    *(Option(name, Password, Scram.exposes_password) for name in _HASHES),
    Option("OAUTHBEARER", OAuthToken, OAuthBearer.exposes_password),
    Option("XOAUTH2", OAuthToken, XOAuth2.exposes_password),
    Option("EXTERNAL", External, ExternalMechanism.exposes_password),
    # PLAIN comes before LOGIN: it is a standard, and one round trip shorter.
    Option("PLAIN", Password, Plain.exposes_password),
    Option("LOGIN", Password, Login.exposes_password),
    Option("ANONYMOUS", Anonymous, AnonymousMechanism.exposes_password),
    Option("CRAM-MD5", Password, CramMD5.exposes_password, is_automatic=False),
)
"""All that are chosen among, the best first."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller wants of the choice. Of a mechanism of one's own, `mechanisms` and `remembered` count as well.

    mechanisms: the only ones to be used, the best first; None leaves the choice to the order of `MECHANISMS`.
    remembered: the mechanism of an earlier login. If nothing as good is offered any more, somebody may have removed it
        from the server's list, and nothing is sent.
    minimum_iterations, maximum_iterations: what a server may ask for in SCRAM; by default from 4,096 to 1,000,000.
    key_cache: keeps what SCRAM derives from passwords, so that the next login need not derive it again.
    channel_bindings: what -PLUS may bind to, the best first; of these the first is used that the TLS session gives.

    Raises ValueError for a text in place of names, what else is of another kind, a channel binding that nobody knows,
    and limits that allow no count, or more than 2,147,483,647.
    """

    mechanisms: Sequence[str] | None = None
    remembered: str | None = None
    minimum_iterations: int = MINIMUM_ITERATIONS
    maximum_iterations: int = MAXIMUM_ITERATIONS
    key_cache: KeyCache | None = None
    channel_bindings: Sequence[BindingType] = ("tls-exporter", "tls-unique", "tls-server-end-point")

    def __post_init__(self) -> None:
        if self.mechanisms is not None:
            _check_names("mechanisms", self.mechanisms)
            object.__setattr__(self, "mechanisms", tuple(name.upper() for name in self.mechanisms))
        check_kind("remembered", self.remembered, (str, NoneType), "text or None")
        check_kind("minimum_iterations", self.minimum_iterations, int, "a whole number")
        check_kind("maximum_iterations", self.maximum_iterations, int, "a whole number")
        check_kind("key_cache", self.key_cache, (KeyCache, NoneType), "a KeyCache or None")
        _check_names("channel_bindings", self.channel_bindings)
        for name in self.channel_bindings:
            if name not in get_args(BindingType):
                raise ValueError(f"expected channel_bindings of {', '.join(get_args(BindingType))}, got {name!r}")
        object.__setattr__(self, "channel_bindings", tuple(self.channel_bindings))
        check_iterations(self.minimum_iterations, self.maximum_iterations)


def _check_names(name: str, value: Sequence[str]) -> None:
    if isinstance(value, str):
        raise ValueError(f"expected the names of {name.replace('_', ' ')}, got the text {value!r}")
    check_kind(name, value, Sequence, "a sequence of names")
    for each in value:
        check_kind(f"a name in {name}", each, str, "text")


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is to choose from.

    offered: the names that the server offers, in upper case.
    is_confidential: whether nobody listens: the link is under TLS, or the caller says that it is safe without.
    channel_bindings: what the TLS session gives to bind to, by name.
    host, port: what was connected to; OAUTHBEARER tells the server.
    """

    offered: Collection[str]
    is_confidential: bool
    channel_bindings: Mapping[BindingType, ChannelBinding]
    host: str = ""
    port: int | None = None

    def binding(self, preferences: Preferences) -> ChannelBinding | None:
        """Return what to bind to; None if there is nothing that both the session and the caller have."""
        for name in preferences.channel_bindings:
            if name in self.channel_bindings:
                return self.channel_bindings[name]
        return None

    def without(self, name: str) -> "Situation":
        """Return what there is to choose from once the server says that it does not have the mechanism called `name`.

        With one of the -PLUS forms they all go: SCRAM tells the server then that it seems to have none, and one that
        does have one breaks off (RFC 5802 6), for it was somebody else who has said so.
        """
        is_bound = name.endswith(_PLUS)
        return replace(
            self,
            offered=tuple(
                other for other in self.offered if other != name and not (is_bound and other.endswith(_PLUS))
            ),
        )


def candidates(
    credentials: Credentials,
    situation: Situation,
    preferences: Preferences,
    options: Sequence[Option] = MECHANISMS,
) -> tuple[str, ...]:
    """Return the names of what may be used, the best first.

    options: all there is to choose among, with what a protocol has besides SASL.
    """
    if preferences.mechanisms is None:
        ranked = [option for option in options if option.is_automatic]
    else:
        by_name = {option.name: option for option in options}
        ranked = [by_name[name] for name in preferences.mechanisms if name in by_name]
    return tuple(
        option.name
        for option in ranked
        if isinstance(credentials, option.takes)
        and option.name in situation.offered
        and (situation.is_confidential or not option.exposes_password)
        and not (option.name.endswith(_PLUS) and situation.binding(preferences) is None)
    )


def is_weaker(name: str, remembered: str, options: Sequence[Option] = MECHANISMS) -> bool:
    """Whether the mechanism called `name` is not as good as the one called `remembered`. One that is not among the
    `options` is as good as itself alone."""
    ranks = {option.name: rank for rank, option in enumerate(options)}
    return name != remembered.upper() and ranks.get(name, len(ranks)) > ranks.get(remembered.upper(), -1)


def make_mechanism(name: str, credentials: Credentials, situation: Situation, preferences: Preferences) -> Mechanism:
    """Make the mechanism called `name`, one of `candidates`, for one exchange.

    An OAuthToken must hold the token itself. Raises ValueError where the mechanism cannot present these credentials;
    the error quotes nothing of them.
    """
    match credentials:
        case Password() if (hash_name := _HASHES.get(name.removesuffix(_PLUS))) is not None:
            return _make_scram(name, hash_name, credentials, situation, preferences)
        case Password() if name in _FOR_PASSWORDS:
            return _FOR_PASSWORDS[name](credentials)
        case OAuthToken(user=user, authzid=authzid) if name == OAuthBearer.name:
            return OAuthBearer(user, _token(credentials), host=situation.host, port=situation.port, authzid=authzid)
        case OAuthToken(user=user, authzid=authzid) if name == XOAuth2.name:
            if authzid:
                raise ValueError("XOAUTH2 has no place for an authzid")
            return XOAuth2(user, _token(credentials))
        case External() if name == ExternalMechanism.name:
            return ExternalMechanism(credentials)
        case Anonymous() if name == AnonymousMechanism.name:
            return AnonymousMechanism(credentials)
    raise ValueError(f"{name} is no mechanism for {type(credentials).__name__}")


_FOR_PASSWORDS: Final[Mapping[str, Callable[[Password], Mechanism]]] = {
    Plain.name: Plain,
    Login.name: Login,
    CramMD5.name: CramMD5,
}


def _token(credentials: OAuthToken) -> str:
    if not isinstance(credentials.token, str):
        raise AssertionError("the provider of a token is asked before a mechanism is made")
    return credentials.token


def _make_scram(
    name: str, hash_name: HashName, credentials: Password, situation: Situation, preferences: Preferences
) -> Scram:
    # RFC 5802 6: "y" tells the server that it seems to offer no -PLUS, and breaks the exchange if it does. Where it
    # does and the caller wants none of them, we are a client without channel binding: "n".
    offers_plus = any(other.endswith(_PLUS) for other in situation.offered)
    binds = name.endswith(_PLUS) or not offers_plus
    return Scram(
        credentials,
        hash_name,
        situation.binding(preferences) if binds else None,
        server_offers_plus=name.endswith(_PLUS),
        key_cache=preferences.key_cache,
        minimum_iterations=preferences.minimum_iterations,
        maximum_iterations=preferences.maximum_iterations,
    )
