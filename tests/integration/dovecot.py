"""A private Dovecot: POP3 and LMTP over Postfix's Maildirs, and the authentication that Postfix asks for."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from mailwire.testing.tls import authority_file
from tests.integration.daemon import Daemon, free_ports
from tests.integration.mailbox import Mailbox

__all__ = ["MISERLY_ADDRESS", "TOKEN_SCOPE", "Dovecot"]

TOKEN_SCOPE = "mail"

# Whoever comes from here may have one connection at a time.
MISERLY_ADDRESS = "127.0.0.9"

_DOVECOT = "/usr/sbin/dovecot"

_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = mailwire-test-{port}
log_path = {log_file}
auth_verbose = yes
protocols = pop3 lmtp
listen = {host}

ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
# Clients are asked for a certificate, and may well have none.
ssl_ca = <{client_authority}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes

disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 apop scram-sha-1 scram-sha-256 xoauth2 oauthbearer external
# Any characters, so that names outside ASCII may be used.
auth_username_chars =
# With this and the anvil below a wrong password is answered within half a second, not after two and then more.
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 apop scram-sha-1 scram-sha-256
  args = {folder}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = external
  args = {folder}/users
  default_fields = nopassword=y
}}
userdb {{
  driver = passwd-file
  # LMTP asks by address, all others by user name.
  args = username_format=%n {folder}/users
}}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100
remote {miserly_address} {{
  mail_max_userip_connections = 1
}}

protocol lmtp {{
  mail_plugins = quota
}}
plugin {{
  quota = maildir:User quota
}}

service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
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

_OAUTH2 = """\
introspection_mode = post
introspection_url = {introspection_url}
username_attribute = username
active_attribute = active
active_value = true
scope = {scope}
"""


class Dovecot(Daemon):
    """Dovecot with plain POP3 and STLS on `port`, POP3 over TLS from the first byte on `tls_port`, and LMTP on
    `lmtp_port` and at `lmtp_socket`.

    Passwords may be given with and without TLS: USER and PASS, APOP, and AUTH with any mechanism it has. Tokens must be
    for `TOKEN_SCOPE`; what they are worth it asks at `introspection_url`. EXTERNAL takes the user name from a client's
    certificate, if the authority in the file `client_authority` signed it. Programs that may connect to `auth_socket`,
    which is for Postfix, can have it check a SASL exchange.

    By LMTP, which wants no login, it delivers to the addresses of `mailboxes`. An unknown one gets 550 at RCPT, one
    whose quota the message exceeds gets 552 at its end.
    """

    def __init__(
        self,
        folder: Path,
        mail: Path,
        mailboxes: Iterable[Mailbox],
        auth_socket: Path,
        client_authority: Path,
        introspection_url: str,
    ) -> None:
        super().__init__([_DOVECOT, "-F", "-c", str(folder / "dovecot.conf")], folder / "dovecot.log")
        folder.mkdir()
        folder.chmod(0o755)
        owner = mail.stat()
        certificate = authority_file().with_name("localhost.pem")
        (self.lmtp_port,) = free_ports(1)
        self.lmtp_socket = folder / "run" / "lmtp"  # Dovecot makes it by itself
        values = {
            "auth_socket": auth_socket,
            "certificate": certificate,
            "client_authority": client_authority,
            "folder": folder,
            "gid": owner.st_gid,
            "host": self.host,
            "introspection_url": introspection_url,
            "key": certificate.with_name("localhost-key.pem"),
            "miserly_address": MISERLY_ADDRESS,
            "lmtp_port": self.lmtp_port,
            "log_file": self.log_file,
            "port": self.port,
            "scope": TOKEN_SCOPE,
            "tls_port": self.tls_port,
            "uid": owner.st_uid,
        }
        lines = [
            f"{mailbox.user}:{{PLAIN}}{mailbox.password}:{owner.st_uid}:{owner.st_gid}::{mailbox.maildir.parent}"
            + _of_user(mailbox.settings)
            for mailbox in mailboxes
        ]
        files = {
            "dovecot.conf": _CONFIGURATION.format_map(values),
            "oauth2.conf": _OAUTH2.format_map(values),
            "users": "".join(lines),
        }
        for name, text in files.items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)

    @staticmethod
    def missing() -> str | None:
        """Say what Dovecot lacks here to be started, or `None` if nothing."""
        if os.geteuid() != 0:
            return "Dovecot must be started by root"
        needed = Path(_DOVECOT), Path("/usr/lib/dovecot/pop3"), Path("/usr/lib/dovecot/lmtp")
        if not all(program.exists() for program in needed):
            packages = "dovecot-core, dovecot-pop3d, dovecot-lmtpd"
            return f"{_DOVECOT} or its POP3 or LMTP server does not exist (Debian packages {packages})"
        version = subprocess.run([_DOVECOT, "--version"], check=True, capture_output=True, text=True).stdout
        if not version.startswith("2.3."):
            return f"Dovecot 2.3 is needed, for the configuration of 2.4 is another language; this is {version.strip()}"
        return None


def _of_user(settings: Mapping[str, str]) -> str:
    # What is in the user database overrides the configuration, and is expanded once more than that.
    fields = [f"userdb_{name}={value.replace('%', '%%')}" for name, value in settings.items()]
    return "".join(["::" if fields else "", " ".join(fields), "\n"])
