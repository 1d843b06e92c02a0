"""SASL, sans-I/O (RFC 4422): credentials, the mechanisms that present them, and the choice among mechanisms.

Both protocols use what is here; nothing here knows either of them. The clients choose by themselves (`candidates`); a
mechanism is used by name with the commands of either protocol: `client.execute(smtp.Auth(sasl.Plain(credentials)))`.
"""

from .anonymous import AnonymousMechanism
from .channel_binding import BindingType, ChannelBinding, server_end_point
from .choice import (
    MECHANISMS,
    Credentials,
    MechanismFactory,
    Option,
    Preferences,
    Situation,
    candidates,
    is_weaker,
    make_mechanism,
)
from .cram_md5 import CramMD5
from .credentials import Password
from .exchange import Exchange
from .external import ExternalMechanism
from .identities import Anonymous, External, OAuthToken, TokenProvider
from .keys import KeyCache
from .login import Login
from .mechanism import Mechanism, MechanismFailed
from .oauth import OAuthBearer, OAuthFailure, XOAuth2
from .plain import Plain
from .redaction import Redaction
from .saslprep import saslprep
from .scram import ProofMissing, Scram
from .work import ComputationDue, Work

__all__ = [
    "MECHANISMS",
    "Anonymous",
    "AnonymousMechanism",
    "BindingType",
    "ChannelBinding",
    "ComputationDue",
    "CramMD5",
    "Credentials",
    "Exchange",
    "External",
    "ExternalMechanism",
    "KeyCache",
    "Login",
    "Mechanism",
    "MechanismFactory",
    "MechanismFailed",
    "OAuthBearer",
    "OAuthFailure",
    "OAuthToken",
    "Option",
    "Password",
    "Plain",
    "Preferences",
    "ProofMissing",
    "Redaction",
    "Scram",
    "Situation",
    "TokenProvider",
    "Work",
    "XOAuth2",
    "candidates",
    "is_weaker",
    "make_mechanism",
    "saslprep",
    "server_end_point",
]
