"""Settings: what differs from one installation to another, read from the environment once."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from taskiq_mail.verdict import Rules


@dataclass(frozen=True)
class Settings:
    """redis: the URL of the server.
    secrets: the folder with a file for each account, named `user@host`, that holds its password.
    mail: the folder that collected mail is kept in.
    connections_per_host: how many connections to one host there may be at once, over all workers.
    lease: for how many seconds a worker that does not say so is taken to be at work still. It says so three times in
        that time. A worker that is lost is replaced after twice as long.
    """

    redis: str = "redis://localhost:6379"
    secrets: Path = Path("/run/secrets")
    mail: Path = Path("mail")
    connections_per_host: int = 4
    lease: float = 30
    rules: Rules = field(default_factory=Rules)

    @classmethod
    def from_environment(cls) -> "Settings":
        found = os.environ.get
        return cls(
            redis=found("TASKIQ_MAIL_REDIS", cls.redis),
            secrets=Path(found("TASKIQ_MAIL_SECRETS", cls.secrets)),
            mail=Path(found("TASKIQ_MAIL_FOLDER", cls.mail)),
            connections_per_host=int(found("TASKIQ_MAIL_CONNECTIONS", cls.connections_per_host)),
            lease=float(found("TASKIQ_MAIL_LEASE", cls.lease)),
        )


SETTINGS = Settings.from_environment()
