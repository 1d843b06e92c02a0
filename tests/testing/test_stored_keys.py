import base64

import pytest

from mailwire.testing.stored_keys import StoredKeys

# RFC 5802 5 and RFC 7677 3.
EXAMPLES = {
    "sha1": (
        "QSXCR+Q6sek8bf92",
        b"n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "sha256": (
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("function", EXAMPLES)
def test_the_proofs_of_the_examples_verify_and_their_signatures_are_made(function: str) -> None:
    salt, auth_message, proof, signature = EXAMPLES[function]
    keys = StoredKeys.derive(function, b"pencil", base64.b64decode(salt), 4096)

    assert keys.verify(auth_message, base64.b64decode(proof))
    assert base64.b64encode(keys.sign(auth_message)).decode() == signature


@pytest.mark.parametrize("function", EXAMPLES)
def test_any_other_proof_does_not_verify(function: str) -> None:
    salt, auth_message, in_base64, _ = EXAMPLES[function]
    keys = StoredKeys.derive(function, b"pencil", base64.b64decode(salt), 4096)
    proof = base64.b64decode(in_base64)

    assert not keys.verify(auth_message + b"x", proof)
    assert not keys.verify(auth_message, proof[:-1])
    assert not keys.verify(auth_message, proof + b"\0")
    assert not keys.verify(auth_message, b"")
    for place in range(len(proof)):
        altered = bytearray(proof)
        altered[place] ^= 1
        assert not keys.verify(auth_message, bytes(altered))
    assert not StoredKeys.derive(function, b"crayon", keys.salt, 4096).verify(auth_message, proof)


def test_the_keys_are_not_shown() -> None:
    keys = StoredKeys("sha256", b"salt", 4096, b"stored secret", b"server secret")

    assert "secret" not in repr(keys)
