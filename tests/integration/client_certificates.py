"""Certificates for clients that prove by TLS who they are, signed by an authority of this test run."""

import shutil
import ssl
import subprocess
from pathlib import Path

from mailwire.testing.tls import client_context

__all__ = ["ClientAuthority"]

# Longer than any test run; openssl takes whole days.
_DAYS = "2"


class ClientAuthority:
    """An authority that signs certificates for user names. Its files are in `folder`, which must not exist.

    The authority of `mailwire.testing` cannot sign them: its key was thrown away.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._key = folder / "authority-key.pem"
        self.certificate = folder / "authority.pem"
        _openssl(self._key, self.certificate, "mailwire test authority for clients")

    @staticmethod
    def missing() -> str | None:
        """Say what this machine lacks to make certificates, or `None` if nothing."""
        return None if shutil.which("openssl") else "the openssl command does not exist (Debian package openssl)"

    def context_for(self, user: str) -> ssl.SSLContext:
        """Make a client's context like `mailwire.testing.tls.client_context`, with a new certificate for `user`."""
        key, certificate = self._folder / f"{user}-key.pem", self._folder / f"{user}.pem"
        signing = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-addext", "extendedKeyUsage=clientAuth"]
        _openssl(key, certificate, user, *signing, "-addext", "basicConstraints=critical,CA:FALSE")
        context = client_context()
        context.load_cert_chain(certificate, key)
        return context


def _openssl(key: Path, certificate: Path, common_name: str, *options: str) -> None:
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key)]
    command = ["openssl", "req", "-x509", *new_key, "-subj", f"/CN={common_name}", "-days", _DAYS, *options]
    subprocess.run([*command, "-out", str(certificate)], check=True)
