import base64

import pytest

from mailwire.sasl.keys import HASHES, HashName, KeyCache, Keys
from tests.sasl.scram_server import hi, keyed
from tests.sasl.secrecy import CANARY, assert_hidden

PASSWORD, SALT = CANARY.encode(), b"salt"


def made(text: str) -> Keys:
    return Keys(f"client {text}".encode(), f"server {text}".encode())


def test_keys_are_those_of_the_example() -> None:
    # RFC 5802 5. It does not print them; they are what its proof and its signature follow from.
    keys = Keys.derive("SHA-1", b"pencil", base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert keys.client.hex() == "e234c47bf6c36696dd6d852b99aaa2ba26555728"
    assert keys.server.hex() == "0fe09258b3ac852ba502cc62ba903eaacdbf7d31"


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("iterations", [1, 2, 1000])
@pytest.mark.parametrize("password", [b"p", b"p" * 200])
def test_keys_are_derived_as_the_rfc_says(hash_name: HashName, iterations: int, password: bytes) -> None:
    # RFC 5802 3
    function = HASHES[hash_name]
    salted_password = hi(function, password, b"\0salt", iterations)
    assert Keys.derive(hash_name, password, b"\0salt", iterations) == Keys(
        client=keyed(function, salted_password, b"Client Key"), server=keyed(function, salted_password, b"Server Key")
    )


def test_keys_never_show_themselves() -> None:
    keys = Keys(PASSWORD, PASSWORD)
    assert repr(keys) == "Keys()"
    assert_hidden(CANARY, keys)


def test_keys_are_found_by_all_they_were_derived_from() -> None:
    cache = KeyCache()
    cache.store("SHA-256", PASSWORD, SALT, 4096, made("a"))
    assert cache.find("SHA-256", PASSWORD, SALT, 4096) == made("a")
    assert cache.find("SHA-512", PASSWORD, SALT, 4096) is None
    assert cache.find("SHA-256", b"wrong", SALT, 4096) is None
    assert cache.find("SHA-256", PASSWORD, b"other", 4096) is None
    assert cache.find("SHA-256", PASSWORD, SALT, 4097) is None
    assert len(cache) == 1


def test_the_least_recently_used_keys_are_forgotten() -> None:
    cache = KeyCache(2)
    cache.store("SHA-1", b"a", SALT, 1, made("a"))
    cache.store("SHA-1", b"b", SALT, 1, made("b"))
    assert cache.find("SHA-1", b"a", SALT, 1) == made("a")
    cache.store("SHA-1", b"c", SALT, 1, made("c"))
    assert cache.find("SHA-1", b"b", SALT, 1) is None
    assert cache.find("SHA-1", b"a", SALT, 1) == made("a")
    cache.store("SHA-1", b"c", SALT, 1, made("d"))
    cache.store("SHA-1", b"e", SALT, 1, made("e"))
    assert cache.find("SHA-1", b"a", SALT, 1) is None
    assert cache.find("SHA-1", b"c", SALT, 1) == made("d")
    assert len(cache) == 2


def test_a_cache_may_be_for_one_entry() -> None:
    cache = KeyCache(1)
    cache.store("SHA-1", b"a", SALT, 1, made("a"))
    cache.store("SHA-1", b"b", SALT, 1, made("b"))
    assert cache.find("SHA-1", b"a", SALT, 1) is None
    assert cache.find("SHA-1", b"b", SALT, 1) == made("b")


def test_a_cache_has_a_bound() -> None:
    cache = KeyCache()
    for count in range(1, 2 * cache.max_entries):
        cache.store("SHA-1", PASSWORD, SALT, count, made("a"))
    assert len(cache) == cache.max_entries == 256


@pytest.mark.parametrize("size", [0, -1])
def test_a_cache_for_nothing_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"at least one entry, got {size}"):
        KeyCache(size)


def test_a_cache_never_shows_what_it_holds() -> None:
    cache = KeyCache(8)
    cache.store("SHA-1", PASSWORD, SALT, 1, Keys(PASSWORD, PASSWORD))
    assert repr(cache) == "<KeyCache of 1 entries, at most 8>"
    assert_hidden(CANARY, cache, vars(cache))
