"""Messages from wherever they come, over a connection: to the loopback server, and against scripts where they fail."""

import io
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailwire import Delivery, InvalidMessage, MessagePolicy, NotSupported, SMTPClient, SourceFailed
from mailwire.testing import Account, MailServer
from tests.aio.dialogues import *
