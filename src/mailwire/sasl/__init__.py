"""SASL, sans-I/O (RFC 4422): credentials, the mechanisms that present them, and the choice among mechanisms.

Both protocols use what is here; nothing here knows either of them. The clients choose PLAIN or LOGIN by themselves; the
other mechanisms are used by name: `await client.execute(smtp.Auth(sasl.Scram(credentials, "SHA-256")))`.
"""

from .anonymous import AnonymousMechanism
from .channel_binding import ChannelBinding, server_end_point
from .choice import MECHANISMS, choose
from .cram_md5 import CramMD5
from .credentials import Password
from .exchange import Exchange
from .external import ExternalMechanism
from .identities import Anonymous, External, OAuthToken
from .keys import KeyCache
from .login import Login
from .mechanism import Mechanism, MechanismFailed
from .oauth import OAuthBearer, OAuthFailure, XOAuth2
from .plain import Plain
from .saslprep import saslprep
from .scram import Scram, ServerUnproven
from .work import Work

__all__ = [
    "MECHANISMS",
    "Anonymous",
    "AnonymousMechanism",
    "ChannelBinding",
    "CramMD5",
    "Exchange",
    "External",
    "ExternalMechanism",
    "KeyCache",
    "Login",
    "Mechanism",
    "MechanismFailed",
    "OAuthBearer",
    "OAuthFailure",
    "OAuthToken",
    "Password",
    "Plain",
    "Scram",
    "ServerUnproven",
    "Work",
    "XOAuth2",
    "choose",
    "saslprep",
    "server_end_point",
]
