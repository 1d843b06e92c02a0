"""Channel: what a TLS session gives to authenticate by (RFC 5056, RFC 4422 appendix A)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NO_CHANNEL", "Channel"]


@dataclass(frozen=True, slots=True)
class Channel:
    """What the two ends of one TLS session know of it.

    bindings: the channel bindings by their registered names ("tls-server-end-point", "tls-unique", "tls-exporter"), for
        the -PLUS mechanisms; never shown.
    client_names: the names in the client's certificate, which was verified, for EXTERNAL; none without a certificate.
    """

    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    client_names: frozenset[str] = frozenset()


NO_CHANNEL: Final = Channel()
"""Nothing to authenticate by: no TLS, or nothing known of it."""
