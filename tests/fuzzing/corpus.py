"""The corpus: what each target has been given that led it somewhere, a file each."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

__all__ = ["CORPUS", "TARGETS", "mutations", "seeds"]

CORPUS: Final = Path(__file__).with_name("corpus")
TARGETS: Final = ("reply", "smtp_session", "pop3_session", "sasl_challenges", "dot_codec")

# What means something to one machine or the other.
_WORDS: Final = (
    *(b"\r\n", b"\n", b"\r", b".", b"\r\n.\r\n", b"\x1e", b"\0", b" ", b"-", b"+OK", b"-ERR", b"+ ", b"250 ", b"250-"),
    *(b"354 go\r\n", b"250 ok\r\n", b"550 no\r\n", b"421 bye\r\n", b"334 \r\n", b"\xff", b"1 2\r\n", b"+OK\r\n"),
)


def seeds(name: str) -> list[bytes]:
    """Return the corpus of the target called `name`, in a fixed order."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutations(name: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield what comes of the corpus by chance, the same for the same `seed`."""
    chance, known = Random(f"{name}:{seed}"), seeds(name)
    for _ in range(count):
        data = bytearray(chance.choice(known))
        for _ in range(chance.randint(1, 6)):
            place = chance.randint(0, len(data))
            match chance.randrange(5):
                case 0:
                    data[place : place + 1] = bytes([chance.randrange(256)])
                case 1:
                    data[place:place] = chance.choice(_WORDS)
                case 2:
                    del data[place : place + chance.randint(1, 8)]
                case 3:
                    other = chance.choice(known)
                    begin = chance.randint(0, len(other))
                    data[place:] = other[begin : begin + 200]
                case _:
                    end = place + chance.randint(1, 30)
                    data[place:place] = data[place:end]
        yield bytes(data[:512])
