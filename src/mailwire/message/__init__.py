"""Messages: what a caller hands over, turned into an envelope and the octets for the wire; and `compose`, to make one.

mailwire is no MIME library: it takes the standard library's messages and gives back octets, or the other way round.
"""

from .attachment import Attachment
from .compose import compose
from .content import Content
from .envelope import Envelope
from .outgoing import Outgoing
from .policy import MessagePolicy
from .retrieved import RetrievedMessage
from .source import MessageSource

__all__ = [
    "Attachment",
    "Content",
    "Envelope",
    "MessagePolicy",
    "MessageSource",
    "Outgoing",
    "RetrievedMessage",
    "compose",
]
