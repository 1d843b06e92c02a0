"""A private Dovecot: POP3 over the Maildirs that Postfix fills, and the authentication that Postfix asks for."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from mailwire.testing.tls import authority_file
from tests.integration.daemon import Daemon
from tests.integration.mailbox import Mailbox

__all__ = ["Dovecot"]

_DOVECOT = "/usr/sbin/dovecot"

_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = mailwire-test-{port}
log_path = {log_file}
auth_verbose = yes
protocols = pop3
listen = {host}

ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}

disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 apop scram-sha-1 scram-sha-256
# With this and the anvil below a wrong password is answered within half a second, not after two and then more.
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100

service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
service auth {{
  unix_listener {auth_socket} {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class Dovecot(Daemon):
    """Dovecot with plain POP3 and STLS on `port`, TLS from the first byte on `tls_port`.

    Passwords may be given with and without TLS: USER and PASS, APOP, and AUTH with any mechanism it has. Programs that
    may connect to `auth_socket`, which is for Postfix, can have it check a SASL exchange.
    """

    def __init__(self, folder: Path, mail: Path, mailboxes: Iterable[Mailbox], auth_socket: Path) -> None:
        super().__init__([_DOVECOT, "-F", "-c", str(folder / "dovecot.conf")], folder / "dovecot.log")
        folder.mkdir()
        folder.chmod(0o755)
        owner = mail.stat()
        certificate = authority_file().with_name("localhost.pem")
        values = {
            "auth_socket": auth_socket,
            "certificate": certificate,
            "folder": folder,
            "gid": owner.st_gid,
            "host": self.host,
            "key": certificate.with_name("localhost-key.pem"),
            "log_file": self.log_file,
            "port": self.port,
            "tls_port": self.tls_port,
            "uid": owner.st_uid,
        }
        lines = [
            f"{mailbox.user}:{{PLAIN}}{mailbox.password}:{owner.st_uid}:{owner.st_gid}::{mailbox.maildir.parent}\n"
            for mailbox in mailboxes
        ]
        (folder / "dovecot.conf").write_text(_CONFIGURATION.format_map(values))
        (folder / "users").write_text("".join(lines))
        (folder / "users").chmod(0o644)

    @staticmethod
    def missing() -> str | None:
        """Say what Dovecot lacks here to be started, or `None` if nothing."""
        if os.geteuid() != 0:
            return "Dovecot must be started by root"
        if not Path(_DOVECOT).exists() or not Path("/usr/lib/dovecot/pop3").exists():
            return f"{_DOVECOT} or its POP3 server does not exist (Debian packages dovecot-core, dovecot-pop3d)"
        version = subprocess.run([_DOVECOT, "--version"], check=True, capture_output=True, text=True).stdout
        if not version.startswith("2.3."):
            return f"Dovecot 2.3 is needed, for the configuration of 2.4 is another language; this is {version.strip()}"
        return None
