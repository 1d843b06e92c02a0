"""Parameters: what follows the path in MAIL and RCPT, keywords with or without a value (RFC 5321 4.1.1.11, 4.1.2)."""

import re
from collections.abc import Mapping
from typing import Final, Self

from .._wire.mapping import FrozenMapping
from .paths import BEYOND_ASCII

__all__ = ["NO_PARAMETERS", "Parameters"]

# RFC 5321 4.1.2: esmtp-keyword, and esmtp-value "any CHAR excluding =, SP, and control characters"; octets beyond
# ASCII are let in by RFC 6531 3.3.
_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_VALUE: Final = re.compile(rf"[!-<>-~{BEYOND_ASCII}]+\Z")


class Parameters(FrozenMapping[str | None]):
    """ESMTP parameters, in the order in which they are sent. A value is None where the keyword stands alone.

    Raises ValueError for what is no keyword, for a keyword given twice (case does not count), and for what no value may
    hold: spaces, controls, an equals sign.
    """

    __slots__ = ()

    def __init__(self, parameters: Mapping[str, str | None]) -> None:
        for keyword, value in parameters.items():
            if not _KEYWORD.match(keyword):
                raise ValueError(f"expected a parameter name of letters, digits and hyphens, got {keyword!r}")
            if value is not None and not _VALUE.match(value):
                raise ValueError(f"the value of {keyword} must be printable, without spaces and '=', got {value!r}")
        if len({keyword.upper() for keyword in parameters}) < len(parameters):
            raise ValueError(f"expected each parameter once, got {', '.join(parameters)}")
        super().__init__(parameters)

    @classmethod
    def of(cls, parameters: Mapping[str, str | None]) -> Self:
        """Return `parameters` as Parameters: the same object if they are that already."""
        return parameters if isinstance(parameters, cls) else cls(parameters)


NO_PARAMETERS: Final = Parameters({})
