"""A private GNU Mailutils POP3 server, over mailboxes of its own in mbox format."""

import os
import pwd
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from mailwire.testing.tls import authority_file
from tests.integration.daemon import Daemon

__all__ = ["MailutilsPop3d", "Spool"]

_POP3D = "/usr/sbin/pop3d"
_DOMAIN = "example.test"

# Accounts are handed out once each.
_ACCOUNTS = 100

_CONFIGURATION = """\
logging {{
  syslog no;
}};
# Passwords are where the accounts are, and no user of this machine is one.
auth {{
  authorization clear;
  authorization virtdomain;
  authentication clear;
  authentication generic;
}};
virtdomain {{
  passwd-dir {folder}/domains;
}};
mailbox {{
  mailbox-type mbox;
}};
# Who finds the mailbox taken is told so at once, and not after ten seconds.
locking {{
  retry-count 1;
}};
mandatory-locking {{
  enable yes;
  lock-directory {folder}/locks;
}};
tls-file-checks {{
  key-file none;
  cert-file none;
  ca-file none;
}};
tls {{
  ssl-certificate-file {certificate};
  ssl-key-file {key};
}};
max-children 20;
server {host}:{port} {{
  tls-mode ondemand;
}};
server {host}:{tls_port} {{
  tls-mode connection;
}};
"""


@dataclass(frozen=True, slots=True)
class Spool:
    """One account: what it takes to log in, and the file with its messages."""

    user: str
    password: str = field(repr=False)
    file: Path

    def put(self, *messages: bytes) -> None:
        """Write `messages`, whose lines end in LF, into the mailbox, behind those that are there."""
        owner = self.file.parent.stat()
        with self.file.open("ab") as file:
            for message in messages:
                file.write(b"From a@example.org Thu Jan  1 00:00:00 2026\n" + message + b"\n")
        os.chown(self.file, owner.st_uid, owner.st_gid)

    def count(self) -> int:
        """Return how many messages are there."""
        return self.file.read_bytes().count(b"From a@example.org ") if self.file.exists() else 0


class MailutilsPop3d(Daemon):
    """The server, with POP3 and STLS on `port`, POP3 over TLS from the first byte on `tls_port`."""

    def __init__(self, folder: Path) -> None:
        command = [_POP3D, f"--config-file={folder / 'pop3d.conf'}", "--daemon=20", "--foreground"]
        super().__init__(command, folder / "pop3d.log")
        certificate = authority_file().with_name("localhost.pem")
        mail = pwd.getpwnam("mail")
        for name in "domains", "locks", "mail":
            (folder / name).mkdir()
        os.chown(folder / "locks", mail.pw_uid, mail.pw_gid)
        (folder / "locks").chmod(0o1777)
        users = [f"user{number}" for number in range(_ACCOUNTS)]
        homes = [folder / "mail" / user for user in users]
        for home in homes:
            home.mkdir()
            os.chown(home, mail.pw_uid, mail.pw_gid)
        password = "secret-of-all"
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", password], check=True, capture_output=True, text=True
        ).stdout.strip()
        (folder / "domains" / _DOMAIN).write_text(
            "".join(
                f"{user}:{hashed}:{mail.pw_uid}:{mail.pw_gid}::{home}:/bin/false\n"
                for user, home in zip(users, homes, strict=True)
            )
        )
        (folder / "pop3d.conf").write_text(
            _CONFIGURATION.format(
                folder=folder,
                certificate=certificate,
                key=certificate.with_name("localhost-key.pem"),
                host=self.host,
                port=self.port,
                tls_port=self.tls_port,
            )
        )
        self._unused = iter(
            [Spool(f"{user}@{_DOMAIN}", password, home / "INBOX") for user, home in zip(users, homes, strict=True)]
        )

    @staticmethod
    def missing() -> str | None:
        """Say what the server lacks here to be started, or `None` if nothing."""
        if os.geteuid() != 0:
            return "the POP3 server of Mailutils must be started by root"
        if not Path(_POP3D).exists():
            return f"{_POP3D} does not exist (Debian package mailutils-pop3d)"
        return None

    def new_spool(self) -> Spool:
        """Return an empty account that no test used before."""
        return next(self._unused)
