"""SASL, sans-I/O (RFC 4422): credentials, the mechanisms that present them, and the choice among mechanisms.

Both protocols use what is here; nothing here knows either of them.
"""

from .choice import MECHANISMS, choose
from .credentials import Password
from .exchange import Exchange
from .login import Login
from .mechanism import Mechanism, MechanismFailed
from .plain import Plain

__all__ = ["MECHANISMS", "Exchange", "Login", "Mechanism", "MechanismFailed", "Password", "Plain", "choose"]
