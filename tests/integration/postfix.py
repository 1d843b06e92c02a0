"""A private Postfix: takes mail on the loopback interface, delivers it to Maildirs, and sends none anywhere else."""

import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from mailwire.testing.tls import authority_file
from tests.integration.daemon import Daemon
from tests.integration.mailbox import DOMAIN, Mailbox

__all__ = ["MESSAGE_SIZE_LIMIT", "REFUSED_SENDER", "Postfix"]

MESSAGE_SIZE_LIMIT = 10_000_000
REFUSED_SENDER = f"refused@{DOMAIN}"

_MASTER = "/usr/lib/postfix/sbin/master"

# Postfix makes these itself only by "postfix check", which would look after the system's own installation as well.
_QUEUE_FOLDERS = {
    "active": 0o700,
    "bounce": 0o700,
    "corrupt": 0o700,
    "defer": 0o700,
    "deferred": 0o700,
    "flush": 0o700,
    "hold": 0o700,
    "incoming": 0o700,
    "private": 0o700,
    "public": 0o710,
    "saved": 0o700,
    "trace": 0o700,
}

# Nothing here runs in a chroot, and nothing here could send mail elsewhere: there is no "smtp", "lmtp" or "pipe".
_MASTER_CF = """\
{host}:{port} inet n - n - - smtpd
{host}:{tls_port} inet n - n - - smtpd
    -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file = {log_file}
maillog_file_prefixes = {log_file}
mail_owner = postfix
setgid_group = postdrop

myhostname = mail.{domain}
mydomain = {domain}
myorigin = {domain}
inet_interfaces = {host}
inet_protocols = ipv4
mynetworks = {host}/32
smtpd_peername_lookup = no

# No mail leaves: other domains are refused in the dialogue, and a bounce to one of them dies in the queue manager.
mydestination =
default_transport = error:5.7.1 no mail leaves this test
relay_transport = $default_transport
smtpd_relay_restrictions = reject_unauth_destination
notify_classes =
alias_maps =
alias_database =
local_recipient_maps =

virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_mailbox_limit = 0
virtual_minimum_uid = {uid}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
message_size_limit = {message_size_limit}

# Leave the message as it came: no header added but the trace, none completed, none dropped.
local_header_rewrite_clients =
message_drop_headers =

# Refuse a sender at MAIL, not (as Postfix likes to) at the first RCPT.
smtpd_delay_reject = no
smtpd_sender_restrictions = check_sender_access texthash:{folder}/etc/senders

smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {certificate}

smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_authenticated_header = yes

# All clients of the tests come from one address, fast and with many mistakes: no slowing down for that.
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
in_flow_delay = 0
"""


class Postfix(Daemon):
    """Postfix with plain SMTP and STARTTLS on `port`, TLS from the first byte on `tls_port`.

    AUTH is offered with and without TLS, and demanded nowhere. Mail for a known user of `DOMAIN` is delivered, an
    unknown one gets 550 at RCPT, and so (with 554) does any other domain; `REFUSED_SENDER` gets 554 at MAIL.
    """

    def __init__(self, folder: Path, mail: Path, mailboxes: Iterable[Mailbox]) -> None:
        self._queue = folder / "queue"
        # The postfix command sets these for its master, which logs to our file from the start only if it finds them.
        logging = {"POSTLOG_SERVICE": str(self._queue / "public" / "postlog"), "POSTLOG_HOSTNAME": "mail"}
        super().__init__([_MASTER, "-c", str(folder / "etc")], folder / "postfix.log", logging)
        self.auth_socket = self._queue / "private" / "auth"
        self._make_folders(folder)
        owner = mail.stat()
        certificate = authority_file().with_name("localhost.pem")
        values = {
            "certificate": certificate,
            "domain": DOMAIN,
            "folder": folder,
            "gid": owner.st_gid,
            "host": self.host,
            "key": certificate.with_name("localhost-key.pem"),
            "log_file": self.log_file,
            "mail": mail,
            "message_size_limit": MESSAGE_SIZE_LIMIT,
            "port": self.port,
            "tls_port": self.tls_port,
            "uid": owner.st_uid,
        }
        lines = [f"{mailbox.address} {mailbox.maildir.relative_to(mail)}/\n" for mailbox in mailboxes]
        files = {
            "main.cf": _MAIN_CF.format_map(values),
            "master.cf": _MASTER_CF.format_map(values),
            "mailboxes": "".join(lines),
            "senders": f"{REFUSED_SENDER} REJECT this sender is refused\n",
        }
        for name, text in files.items():
            path = folder / "etc" / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            # Every Postfix process that reads a file of the current second waits until the second is over, lest it
            # change; so this one is not new.
            os.utime(path, (0, 0))

    @staticmethod
    def missing() -> str | None:
        """Say what Postfix lacks here to be started, or `None` if nothing."""
        if os.geteuid() != 0:
            return "Postfix must be started by root"
        if not Path(_MASTER).exists():
            return f"{_MASTER} does not exist (Debian package postfix)"
        return None

    def _make_folders(self, folder: Path) -> None:
        postfix = pwd.getpwnam("postfix")
        for path in folder, folder / "etc", self._queue, self._queue / "pid":
            path.mkdir()
            path.chmod(0o755)
        for name, mode in _QUEUE_FOLDERS.items():
            path = self._queue / name
            path.mkdir()
            path.chmod(mode)
            os.chown(path, postfix.pw_uid, postfix.pw_gid)
        (folder / "data").mkdir()
        os.chown(folder / "data", postfix.pw_uid, postfix.pw_gid)
        self.log_file.touch()
