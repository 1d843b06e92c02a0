import hashlib
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl.channel_binding import BindingType, ChannelBinding, server_end_point

CERTIFICATES = Path(__file__).parent / "certificates"

# By certificate, as "openssl x509 -fingerprint" has them; see remake.sh. MD5 and SHA-1 give way to SHA-256.
DIGESTS = {
    "rsa-md5": "8103FF3BB1B5236756371F15083F4AC39E949E6C50E9CF635DE991279C4E3441",
    "rsa-sha1": "EA9F984B33E6D2B85C6C9AEEDDFA2D6C315DF026CB7A3A8911AECC08780771C5",
    "rsa-sha224": "018D403BACA3257024939F9A19B241C965576EF56433A5DAC5DD14AE",
    "rsa-sha256": "1BA498C0B7E34301CCC93B3CCBAE8BFD50763D95E21F0C899217F2ED12599A54",
    "rsa-sha384": "D216A9FE7B84E43B80695D8ABA1B03E576A668B6A1FE280BD227492CCB251CF8F032F34CF608AA6E3E200C6FB8760F6E",
    "rsa-sha512": "14AA43C6F6837C081927964F9ECE7E06989017F81DADA661A9422D7187BB566C"
    "8876EB4120015B66D572D90CE3F6FFDBF36ADAEAA2DF7E5AA01102AE139A8D94",
    "rsa-pss-sha1": "3A42A3868CF952AF4A17679029B9B8F75FCD5E73D207E1DF29F691BF71C4E888",
    "rsa-pss-sha256": "22D5FD19B79952AA28680477EAA271E644D89E8913410B3B63A09A40560F4D7C",
    "rsa-pss-sha384": "DF177DD0EB044AD1573D95296A5CD3A4B174EFD73602B010"
    "BFE2CFA19985F3B6399FB5721A74C2599918DB61F435A3FC",
    "rsa-pss-sha512": "DCF3AA0A2736383B81903E729A97137FDFC33EC212CBE42ADE6015D376EAAF00"
    "B19679D6D666AE492B78CF74CB24C20E62DF613E62A8C30F562E2DC77557BF75",
    "ecdsa-sha1": "6E87E439F2516634574354D3E6F4BCD6B8092F028741022725190BB9A72113CF",
    "ecdsa-sha224": "AC1E10DD2A052BA3D6D6354B610FC6082F58F2CCB3B1DF17608F05EE",
    "ecdsa-sha256": "3391DA4FF30A7FF01CB531E31C1D36A1FF0B9CB0E439B84201ABE7536D6B8402",
    "ecdsa-sha384": "F96655E66800C30A59069991ACF27023048CABAF92BB14B7A47CA24F3531867DABE219BECE33953301AA5BDD41B6056E",
    "ecdsa-sha512": "337DE64849C983474E6C1625094C95C223990CB536DD4A8A7647B8B1B537E808"
    "6E8830C401B799C8E7EC840952422FAF9C58F90C359375A23D895653771B8BE7",
}


def read(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.pem").read_text())


def element(tag: int, *contents: bytes) -> bytes:
    """One element of DER, its length in the shortest form."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


SEQUENCE, IDENTIFIER, NULL = 0x30, 0x06, element(0x05)
PSS = bytes.fromhex("2a864886f70d01010a")
MGF_1 = bytes.fromhex("2a864886f70d010108")
SHA_1 = bytes.fromhex("2b0e03021a")
SHA_224 = bytes.fromhex("608648016503040204")
SHA_256 = bytes.fromhex("608648016503040201")
RSA_SHA_384 = bytes.fromhex("2a864886f70d01010c")


def algorithm(identifier: bytes, *parameters: bytes) -> bytes:
    return element(SEQUENCE, element(IDENTIFIER, identifier), *parameters)


def certificate(signature_algorithm: bytes) -> bytes:
    return element(SEQUENCE, element(SEQUENCE, b"\x02\x01\x01" * 50), signature_algorithm, element(0x03, b"\0sig"))


def mask(identifier: bytes, function: bytes) -> bytes:
    return element(0xA1, algorithm(identifier, algorithm(function, NULL)))


# The value


@pytest.mark.parametrize("name", ["tls-server-end-point", "tls-unique", "tls-exporter"])
def test_a_binding_is_a_value_that_never_shows_its_data(name: BindingType) -> None:
    binding = ChannelBinding(name, b"canary-7f3a")
    assert binding == ChannelBinding(name, b"canary-7f3a") != ChannelBinding(name, b"other")
    assert hash(binding) == hash(ChannelBinding(name, b"canary-7f3a"))
    assert repr(binding) == str(binding) == f"ChannelBinding(name={name!r})"


@pytest.mark.parametrize("name", ["", "tls-unique,", "TLS-UNIQUE", "tls-unique-for-telnet"])
def test_a_binding_of_another_name_is_refused(name: BindingType) -> None:
    with pytest.raises(ValueError, match=r"^expected one of tls-server-end-point, tls-unique, tls-exporter, got"):
        ChannelBinding(name, b"data")


def test_a_binding_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing in this tls-unique to bind to"):
        ChannelBinding("tls-unique", b"")


# tls-server-end-point


@pytest.mark.parametrize(("name", "digest"), DIGESTS.items())
def test_the_hash_is_that_of_the_signature(name: str, digest: str) -> None:
    assert server_end_point(read(name)) == bytes.fromhex(digest)


@pytest.mark.parametrize("name", ["ed25519", "ed448"])
def test_a_signature_without_a_hash_function_binds_nothing(name: str) -> None:
    assert server_end_point(read(name)) is None


def test_a_signature_with_two_hash_functions_binds_nothing() -> None:
    assert server_end_point(read("rsa-pss-sha256-mgf1-sha1")) is None


def test_every_certificate_beside_this_test_is_tested() -> None:
    others = {"ed25519", "ed448", "rsa-pss-sha256-mgf1-sha1"}
    assert {path.stem for path in CERTIFICATES.glob("*.pem")} == {*DIGESTS, *others}


@pytest.mark.parametrize(
    ("parameters", "function"),
    [
        ((), "sha256"),
        ((element(0xA0, algorithm(SHA_1)),), "sha256"),
        ((element(0xA0, algorithm(SHA_1, NULL)), mask(MGF_1, SHA_1)), "sha256"),
        ((element(0xA0, algorithm(SHA_256)), mask(MGF_1, SHA_256), element(0xA2, b"\x02\x01\x20")), "sha256"),
        ((element(0xA0, algorithm(SHA_224)), mask(MGF_1, SHA_224)), "sha224"),
        ((mask(MGF_1, SHA_256),), None),
        ((element(0xA0, algorithm(SHA_256)),), None),
        ((element(0xA0, algorithm(SHA_256)), mask(SHA_256, SHA_256)), None),
        ((element(0xA0, algorithm(b"\x2a")), mask(MGF_1, b"\x2a")), None),
        ((element(0xA0),), None),
        ((element(0xA0, NULL),), None),
        ((element(0xA1, algorithm(MGF_1)),), None),
        ((element(0xA1, algorithm(MGF_1, NULL)),), None),
        ((b"\xa0\x05\x30",), None),
    ],
)
def test_the_hash_of_rsa_pss_is_in_its_parameters(parameters: tuple[bytes, ...], function: str | None) -> None:
    made = certificate(algorithm(PSS, element(SEQUENCE, *parameters)))
    assert server_end_point(made) == (None if function is None else hashlib.new(function, made).digest())


@pytest.mark.parametrize("parameters", [(), (NULL,), (element(SEQUENCE), element(SEQUENCE))])
def test_rsa_pss_without_its_parameters_binds_nothing(parameters: tuple[bytes, ...]) -> None:
    assert server_end_point(certificate(algorithm(PSS, *parameters))) is None


# What is no certificate


def test_a_certificate_built_by_hand_is_read() -> None:
    made = certificate(algorithm(RSA_SHA_384, NULL))
    assert server_end_point(made) == hashlib.sha384(made).digest()
    larger = element(SEQUENCE, element(SEQUENCE, bytes(70_000)), algorithm(RSA_SHA_384), element(0x03))
    assert server_end_point(larger) == hashlib.sha384(larger).digest()


@pytest.mark.parametrize("size", [0x7F, 0x80, 0x81, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_a_certificate_of_any_length_is_read(size: int) -> None:
    rest = algorithm(RSA_SHA_384, NULL) + element(0x03, b"\0sig")
    padding = next(n for n in range(size) if len(element(SEQUENCE, bytes(n))) + len(rest) >= size)
    made = element(SEQUENCE, element(SEQUENCE, bytes(padding)), rest)
    assert server_end_point(made) == hashlib.sha384(made).digest()


@pytest.mark.parametrize("length", [b"\x80", b"\x84\0\0\0\x80", b"\x88" + bytes(7) + b"\x80"])
def test_a_length_that_der_has_no_use_for_is_refused(length: bytes) -> None:
    whole = element(SEQUENCE, element(SEQUENCE, bytes(107)), algorithm(RSA_SHA_384), element(0x03, b"\0sig"))
    assert whole.startswith(b"\x30\x81\x80")
    assert server_end_point(whole) is not None
    assert server_end_point(b"\x30" + length + whole[3:]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\x30",
        b"\x30\x00",
        b"\x30\x80",
        b"\x30\x81",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\xff" + b"\xff" * 127,
        b"\x30\x80" + algorithm(RSA_SHA_384) * 3 + b"\0\0",
        b"\x30" * 100_000,
        b"-----BEGIN CERTIFICATE-----\n",
        element(SEQUENCE, algorithm(RSA_SHA_384)),
        element(SEQUENCE, NULL, algorithm(RSA_SHA_384)),
        element(SEQUENCE, NULL, algorithm(RSA_SHA_384), NULL, NULL),
        element(0x31, NULL, algorithm(RSA_SHA_384), NULL),
        element(SEQUENCE, NULL, element(IDENTIFIER, RSA_SHA_384), NULL),
        element(SEQUENCE, NULL, element(SEQUENCE), NULL),
        element(SEQUENCE, NULL, element(SEQUENCE, element(0x05, RSA_SHA_384)), NULL),
        certificate(algorithm(b"")),
        certificate(algorithm(RSA_SHA_384)) * 2,
        certificate(algorithm(RSA_SHA_384)) + b"\0",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_certificate_binds_nothing(data: bytes) -> None:
    assert server_end_point(data) is None


@pytest.mark.parametrize("name", ["ecdsa-sha256", "rsa-pss-sha256"])
def test_a_certificate_that_is_cut_binds_nothing(name: str) -> None:
    whole = read(name)
    assert all(server_end_point(whole[:end]) is None for end in range(len(whole)))


@pytest.mark.parametrize("name", ["ecdsa-sha256", "rsa-pss-sha256"])
@given(data=st.data())
def test_a_certificate_with_changed_octets_never_raises(name: str, data: st.DataObject) -> None:
    changed = bytearray(read(name))
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=8)):
        changed[at] = data.draw(st.integers(0, 255))
    made = server_end_point(bytes(changed))
    assert made is None or len(made) in (28, 32, 48, 64)


@given(st.binary())
def test_any_octets_never_raise(data: bytes) -> None:
    server_end_point(data)
    server_end_point(certificate(data))
    server_end_point(certificate(algorithm(PSS, element(SEQUENCE, data))))
