"""Channel binding (RFC 5056, RFC 5929, RFC 9266): what ties an exchange to the TLS session that it runs in.

Both sides put into SCRAM something that only the two ends of one TLS session share. A man in the middle has two
sessions, and the proof he passes on from one of them fails in the other.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["BindingType", "ChannelBinding", "server_end_point"]

BindingType: TypeAlias = Literal["tls-server-end-point", "tls-unique", "tls-exporter"]
"""How a login is bound to its TLS connection (RFC 5929 3 and 4, RFC 9266)."""


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """What a TLS session gives to bind to.

    name: how it was got, as registered. "tls-unique" is the first Finished message and means nothing on TLS 1.3
        (RFC 9266 1); "tls-exporter" is keying material exported for this (RFC 9266 2); "tls-server-end-point" is
        server_end_point() of the server's certificate, and binds to the server rather than to the session.
    data: the octets, never shown: RFC 5929 3 and RFC 9266 2 derive them from the session's secrets.

    Raises ValueError for another name, which would stand in SCRAM's first message as it is, and for no data.
    """

    name: BindingType
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.name not in get_args(BindingType):
            raise ValueError(f"expected one of {', '.join(get_args(BindingType))}, got {self.name!r}")
        if not self.data:
            raise ValueError(f"there is nothing in this {self.name} to bind to")


# Object identifiers in DER, without tag and length.
_PKCS_1: Final = bytes.fromhex("2a864886f70d0101")  # 1.2.840.113549.1.1
_ECDSA: Final = bytes.fromhex("2a8648ce3d04")  # 1.2.840.10045.4
_SHA_2: Final = bytes.fromhex("6086480165030402")  # 2.16.840.1.101.3.4.2
_SHA_1: Final = bytes.fromhex("2b0e03021a")  # 1.3.14.3.2.26
_MGF_1: Final = _PKCS_1 + b"\x08"
_RSASSA_PSS: Final = _PKCS_1 + b"\x0a"

# RFC 5929 4.1: the hash function of the signature, but SHA-256 where that is MD5 or SHA-1. A signature algorithm with
# no hash function of its own (Ed25519, Ed448), or with several, leaves the binding undefined.
_HASH_OF_SIGNATURE: Final = {
    _PKCS_1 + b"\x04": "sha256",  # md5WithRSAEncryption
    _PKCS_1 + b"\x05": "sha256",  # sha1WithRSAEncryption
    _PKCS_1 + b"\x0e": "sha224",
    _PKCS_1 + b"\x0b": "sha256",
    _PKCS_1 + b"\x0c": "sha384",
    _PKCS_1 + b"\x0d": "sha512",
    _ECDSA + b"\x01": "sha256",  # ecdsa-with-SHA1
    _ECDSA + b"\x03\x01": "sha224",
    _ECDSA + b"\x03\x02": "sha256",
    _ECDSA + b"\x03\x03": "sha384",
    _ECDSA + b"\x03\x04": "sha512",
}

_HASH_OF_PSS: Final = {
    _SHA_1: "sha256",
    _SHA_2 + b"\x04": "sha224",
    _SHA_2 + b"\x01": "sha256",
    _SHA_2 + b"\x02": "sha384",
    _SHA_2 + b"\x03": "sha512",
}


def server_end_point(certificate_der: bytes) -> bytes | None:
    """Return the data of "tls-server-end-point" for the server's certificate, given in DER (RFC 5929 4.1).

    Returns None where it is undefined, and for anything that is no certificate; never raises for what a server sent.
    """
    try:
        function = _find_hash(certificate_der)
    except ValueError:
        return None
    return None if function is None else hashlib.new(function, certificate_der).digest()


# Just enough DER (ITU-T X.690) to find the signature algorithm. What is not DER is a ValueError.

_OBJECT_IDENTIFIER: Final = 0x06
_SEQUENCE: Final = 0x30
_PSS_HASH: Final = 0xA0
_PSS_MASK_GENERATION: Final = 0xA1


def _find_hash(certificate_der: bytes) -> str | None:
    # RFC 5280 4.1: Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
    (certificate,) = _read_elements(certificate_der)
    _, algorithm, _ = _read_elements(_open(_SEQUENCE, certificate))
    identifier, parameters = _read_algorithm(algorithm)
    if identifier == _RSASSA_PSS:
        return _find_hash_of_pss(parameters)
    return _HASH_OF_SIGNATURE.get(identifier)


def _find_hash_of_pss(parameters: list[tuple[int, bytes]]) -> str | None:
    # RFC 4055 3.1: RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm, [1] maskGenAlgorithm, ... }, both of SHA-1
    # where they are left out.
    (sequence,) = parameters
    fields = dict(_read_elements(_open(_SEQUENCE, sequence)))
    function = mask_function = _SHA_1
    if _PSS_HASH in fields:
        (algorithm,) = _read_elements(fields[_PSS_HASH])
        function, _ = _read_algorithm(algorithm)
    if _PSS_MASK_GENERATION in fields:
        (algorithm,) = _read_elements(fields[_PSS_MASK_GENERATION])
        generator, (mask_algorithm,) = _read_algorithm(algorithm)
        mask_function, _ = _read_algorithm(mask_algorithm)
        if generator != _MGF_1:
            return None
    # Two hash functions in one signature are more than the "single hash function" that the RFC speaks of.
    return _HASH_OF_PSS.get(function) if function == mask_function else None


def _read_algorithm(element: tuple[int, bytes]) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Read an AlgorithmIdentifier (RFC 5280 4.1.1.2): the object identifier, and what parameters there are."""
    identifier, *parameters = _read_elements(_open(_SEQUENCE, element))
    return _open(_OBJECT_IDENTIFIER, identifier), parameters


def _open(tag: int, element: tuple[int, bytes]) -> bytes:
    if element[0] != tag:
        raise ValueError(f"expected an element of tag {tag:#x}, got {element[0]:#x}")
    return element[1]


def _read_elements(data: bytes) -> list[tuple[int, bytes]]:
    """Read the elements of which `data` consists, whole: tag and content of each. Nothing is read recursively."""
    elements = []
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1 : at + 2], at + 2
        size = int.from_bytes(length)
        if size >= 0x80:
            # X.690 8.1.3.5, the long form. A certificate of more than 16 MiB fits no TLS handshake message.
            length = data[at : at + (size & 0x7F)]
            at += len(length)
            size = int.from_bytes(length)
            if not 1 <= len(length) <= 3:
                raise ValueError("this length is indefinite or too long for a certificate")
        if not length or at + size > len(data):
            raise ValueError("this is cut off")
        elements.append((tag, data[at : at + size]))
        at += size
    return elements
