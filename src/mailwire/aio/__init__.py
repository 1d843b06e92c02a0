"""The asyncio side: the only modules that do network I/O. They move bytes, keep deadlines, and wait."""

from .batch import Batch
from .bulk_sending import BulkSending
from .consignment import Order, SendResult
from .deletion import CommitReport, DeletionReport
from .pool import PoolStatistics, SMTPPool
from .pool_sending import PoolSending
from .pop3 import POP3Client
from .pop3_dialogue import Budget
from .pop3_settings import POP3Settings
from .retrieval import Retrieval
from .retrieval_progress import RetrievalProgress
from .retrieved_item import RetrievedItem
from .smtp import SMTPClient

__all__ = [
    "Batch",
    "Budget",
    "BulkSending",
    "CommitReport",
    "DeletionReport",
    "Order",
    "POP3Client",
    "POP3Settings",
    "PoolSending",
    "PoolStatistics",
    "Retrieval",
    "RetrievalProgress",
    "RetrievedItem",
    "SMTPClient",
    "SMTPPool",
    "SendResult",
]
