"""The asyncio side: the only modules that do network I/O. They move bytes, keep deadlines, and wait."""

from .pop3 import POP3Client, RetrievedItem
from .smtp import SMTPClient

__all__ = ["POP3Client", "RetrievedItem", "SMTPClient"]
