"""POP3 servers that go, refuse or lie while mail is deleted, and what is known of it then; maildrops that are not the
same in the next session; and a run over such, which must store each mail once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from mailwire import (
    AmbiguousMessage,
    ConnectionLost,
    Desynchronised,
    MailwireError,
    MessageTruncated,
    ResponseError,
)
from mailwire.maildrop import CautionKind
from mailwire.pop3 import FindingKind
from mailwire.testing import FIN, LISTEN, PACKET, RST, Step, Tls
from tests.hostile.case import EVERYWHERE, ONCE, PASSWORD, Case, Deed, Fate, Outcome, Surroundings, lines
from tests.hostile.pop3_retrieving import BOMBS, IN_CLEAR, QUIT, SECURE, listed, opened, said

__all__ = ["CASES"]

BODIES: Final = {"u1": "one", "u2": "two", "u3": "three"}
MESSAGES: Final = tuple(lines(body) for body in BODIES.values())
LISTING: Final = ("STAT", "LIST", "UIDL")
RETRIEVING: Final = (*LISTING, "RETR 1", "RETR 2", "RETR 3")
MARKING: Final = (*RETRIEVING, "DELE 1", "DELE 2", "DELE 3")


def case(
    name: str,
    script: tuple[Step, ...],
    error: type[MailwireError] | None,
    spoken: bytes,
    *messages: bytes,
    deeds: tuple[Deed, ...] = ("client.delete",),
    sequel: tuple[Step, ...] = (),
    surroundings: tuple[Surroundings, ...] = EVERYWHERE,
    buffer_size: int | None = None,
    **outcome: Any,
) -> Case:
    """A case under TLS: `spoken` is what the client says, `messages` are what it retrieves."""
    told = Outcome(error, hello=True, under_tls=spoken, messages=messages, **outcome)
    return Case(
        *(name, (Tls(), *script), told, SECURE, deeds),
        buffer_size=buffer_size,
        surroundings=surroundings,
        sequel=(Tls(), *sequel) if sequel else (),
    )


def listed_as(uids: Mapping[int, str]) -> tuple[Step, ...]:
    """The maildrop listed with these unique ids."""
    return (
        *("C: STAT", f"S: +OK {len(uids)} 7", "C: LIST", "S: +OK", *(f"S: {number} 7" for number in uids), "S: ."),
        *("C: UIDL", "S: +OK", *(f"S: {number} {uid}" for number, uid in uids.items()), "S: ."),
    )


def listed_together(sizes: Sequence[int]) -> tuple[Step, ...]:
    """The maildrop, asked for in one flight."""
    numbered = [*enumerate(sizes, 1)]
    return (
        *("C: STAT", "C: LIST", "C: UIDL", f"S: +OK {len(sizes)} 7"),
        *("S: +OK", *(f"S: {number} {size}" for number, size in numbered), "S: ."),
        *("S: +OK", *(f"S: {number} u{number}" for number, _ in numbered), "S: ."),
    )


def marked(**answers: str) -> tuple[Step, ...]:
    """DELE of all three messages, answered by +OK save where `answers` has something else for it."""
    return tuple(
        step for number, uid in enumerate(BODIES, 1) for step in (f"C: DELE {number}", f"S: {answers.get(uid, '+OK')}")
    )


def in_portions(listing: Iterable[bytes]) -> Iterator[Step]:
    """A long listing, said in portions: a server that said it at once would hold up the loop that it shares."""
    lines_of_it = iter(listing)
    while portion := b"".join(islice(lines_of_it, 10_000)):
        yield portion
        yield PACKET


OPEN: Final = opened(PASSWORD.password)
RETRIEVED: Final[tuple[Step, ...]] = tuple(
    step
    for number, body in enumerate(BODIES.values(), 1)
    for step in (f"C: RETR {number}", "S: +OK", f"S: {body}", "S: .")
)
THREE: Final = listed([7, 7, 7])
BEFORE: Final[tuple[Step, ...]] = (*OPEN, *THREE, *RETRIEVED)

BOTH: Final[tuple[Deed, ...]] = ("client.delete", "run")
ALL_UNKNOWN: Final[Mapping[str, Fate]] = dict.fromkeys(BODIES, "unknown")
ALL_DELETED: Final[Mapping[str, Fate]] = dict.fromkeys(BODIES, "deleted")


def in_doubt(name: str, answer: tuple[Step, ...], deed: Deed, error: type[MailwireError] | None) -> Case:
    """QUIT, with this for an answer. Some are gone then; the next session finds out which, and deletes the others."""
    return case(
        name,
        (*BEFORE, *marked(), "C: QUIT", *answer, LISTEN),
        error,
        said(*MARKING, "QUIT"),
        *MESSAGES,
        deeds=(deed,),
        fates=ALL_UNKNOWN,
        sequel=(*OPEN, *listed_as({1: "u3"}), "C: DELE 1", "S: +OK", *QUIT),
        under_tls_later=said(*LISTING, "DELE 1", "QUIT"),
        settled=ALL_DELETED,
    )


# An answer to QUIT that is none, and why it is none.
ON_QUIT: Final[tuple[tuple[str, tuple[Step, ...], type[MailwireError]], ...]] = (
    ("quit-err", ("S: -ERR some messages were not removed",), ResponseError),
    ("fin-on-quit", (FIN,), ConnectionLost),
    ("reset-on-quit", (RST,), ConnectionLost),
    ("half-an-answer-to-quit", (b"+OK", FIN), ConnectionLost),
    ("noise-on-quit", ("S: what",), Desynchronised),
)

# What was marked is deleted when QUIT was answered with +OK. Otherwise nobody knows, until the next listing tells.
DELETING: Final = [
    case(
        "all-well", (*BEFORE, *marked(), *QUIT), None, said(*MARKING, "QUIT"), *MESSAGES, deeds=BOTH, fates=ALL_DELETED
    ),
    case(
        "dele-err",
        (*BEFORE, *marked(u2="-ERR no"), *QUIT),
        None,
        said(*MARKING, "QUIT"),
        *MESSAGES,
        deeds=BOTH,
        fates={**ALL_DELETED, "u2": "refused"},
        # It is tried again, as what it is in the next session.
        sequel=(*OPEN, *listed_as({1: "u2"}), "C: DELE 1", "S: +OK", *QUIT),
        under_tls_later=said(*LISTING, "DELE 1", "QUIT"),
        settled=ALL_DELETED,
    ),
    *(in_doubt(name, answer, "client.delete", None) for name, answer, _ in ON_QUIT),
    # A run says why it does not know; a commit has it in its report.
    *(in_doubt(f"{name}-in-a-run", answer, "run", error) for name, answer, error in ON_QUIT),
]

SHARED: Final = listed_as({1: "same", 2: "same", 3: "u3"})

UNIQUE_IDS: Final = [
    # Neither is deleted by it, and no other with them: what was asked for cannot be done.
    case(
        "uidl-duplicate",
        (*OPEN, *SHARED, *RETRIEVED, LISTEN),
        AmbiguousMessage,
        said(*RETRIEVING),
        *MESSAGES,
        attributes={"uid": "same"},
        told=frozenset({FindingKind.SHARED_UID}),
    ),
    # A run deletes the one that can be told from the others.
    case(
        "uidl-duplicate-in-a-run",
        (*OPEN, *SHARED, *RETRIEVED, "C: DELE 3", "S: +OK", *QUIT),
        None,
        said(*RETRIEVING, "DELE 3", "QUIT"),
        *MESSAGES,
        deeds=("run",),
        fates={"u3": "deleted"},
        told=frozenset({FindingKind.SHARED_UID, CautionKind.DUPLICATE_UIDS}),
    ),
    # Numbers hold for a session: the same uid is another number in the next, and what has the number is another mail.
    case(
        "renumbered-maildrop",
        (*BEFORE, *marked(), "C: QUIT", FIN, LISTEN),
        None,
        said(*MARKING, "QUIT"),
        *MESSAGES,
        fates=ALL_UNKNOWN,
        sequel=(*OPEN, *listed_as({1: "u0", 2: "u1", 4: "u3"}), "C: DELE 2", "S: +OK", "C: DELE 4", "S: +OK", *QUIT),
        under_tls_later=said(*LISTING, "DELE 2", "DELE 4", "QUIT"),
        settled={"u1": "deleted", "u3": "deleted", "u2": "unknown"},
    ),
    case(
        "renumbered-maildrop-in-a-run",
        (*BEFORE, *marked(), "C: QUIT", FIN, LISTEN),
        ConnectionLost,
        said(*MARKING, "QUIT"),
        *MESSAGES,
        deeds=("run",),
        fates=ALL_UNKNOWN,
        sequel=(*OPEN, *listed_as({2: "u1", 4: "u3"}), "C: DELE 2", "S: +OK", "C: DELE 4", "S: +OK", *QUIT),
        under_tls_later=said(*LISTING, "DELE 2", "DELE 4", "QUIT"),
        # Numbers are missing: of u2 nothing is known yet.
        settled={"u1": "deleted", "u3": "deleted"},
    ),
]

# A message that is not to be had is told of, is kept, and keeps nobody from the others.
REFUSING: Final = [
    case(
        "retr-err-2-of-3-in-a-run",
        (
            *(*OPEN, *THREE, "C: RETR 1", "S: +OK", "S: one", "S: .", "C: RETR 2", "S: -ERR \x1b[31mgone\x07"),
            *("C: RETR 3", "S: +OK", "S: three", "S: .", "C: DELE 1", "S: +OK", "C: DELE 3", "S: +OK", *QUIT),
        ),
        None,
        said(*RETRIEVING, "DELE 1", "DELE 3", "QUIT"),
        *(MESSAGES[0], MESSAGES[2]),
        deeds=("run",),
        fates={"u1": "deleted", "u3": "deleted"},
        failed={"u2": r"^RETR 2 was refused: -ERR \\x1b\[31mgone\\x07$"},
    ),
]

# A mail that did not come whole is not stored, and not deleted; it comes whole the next time.
CUT: Final[tuple[Step, ...]] = (*listed([7]), "C: RETR 1", "S: +OK", b"hel", FIN, LISTEN)
AGAIN: Final[tuple[Step, ...]] = (
    *(*listed([7]), "C: NOOP", "S: +OK", "C: RETR 1", "S: +OK", "S: hello", "S: .", "C: NOOP", "S: +OK"),
    *("C: DELE 1", "S: +OK", *QUIT),
)
SAID_CUT: Final = (*LISTING, "RETR 1")
SAID_AGAIN: Final = (*LISTING, "NOOP", "RETR 1", "NOOP", "DELE 1", "QUIT")

RETRIEVING_AGAIN: Final = [
    case(
        "retr-cut-tls",
        (*OPEN, *CUT),
        MessageTruncated,
        said(*SAID_CUT),
        lines("hello"),
        deeds=("run",),
        sequel=(*OPEN, *AGAIN),
        under_tls_later=said(*SAID_AGAIN),
        settled={"u1": "deleted"},
        failed={"u1": "in the middle of its answer to RETR 1"},
        broken_off=1,
    ),
    Case(
        "retr-cut-plain",
        (*opened("public"), *CUT),
        Outcome(
            MessageTruncated,
            said(*SAID_CUT, password="public"),
            messages=(lines("hello"),),
            under_tls_later=said(*SAID_AGAIN, password="public"),
            settled={"u1": "deleted"},
            failed={"u1": "in the middle of its answer to RETR 1"},
            broken_off=1,
        ),
        IN_CLEAR,
        ("run",),
        sequel=(*opened("public"), *AGAIN),
    ),
    case(
        "retr-cut-tls-before-a-client",
        (*OPEN, *CUT),
        MessageTruncated,
        said(*SAID_CUT),
        deeds=("client.retrieve", "client.delete"),
    ),
    Case(
        "retr-cut-plain-before-a-client",
        (*opened("public"), *CUT),
        Outcome(MessageTruncated, said(*SAID_CUT, password="public")),
        IN_CLEAR,
        ("client.retrieve", "client.delete"),
    ),
]

PIPELINING: Final[tuple[Step, ...]] = (
    *("S: +OK pop", "C: CAPA", "S: +OK", "S: USER", "S: UIDL", "S: TOP", "S: PIPELINING", "S: ."),
    *(f"C: USER {PASSWORD.user}", f"C: PASS {PASSWORD.password}", "S: +OK", "S: +OK"),
    *("C: CAPA", "S: +OK", "S: USER", "S: UIDL", "S: TOP", "S: PIPELINING", "S: ."),
)
SAID_PIPELINING: Final = ("CAPA", f"USER {PASSWORD.user}", f"PASS {PASSWORD.password}", "CAPA", *LISTING)
MANY: Final = range(1, 151)  # half as many again as the window has room for
LARGE: Final = tuple(b"%d\r\n" % number + b"0123456789abcde\r\n" * 1000 for number in MANY)
MILLION: Final = 10**6

ASKING: Final = [
    case(
        "top-unsupported",
        (
            *(*PIPELINING, *listed_together([7]), "C: TOP 1 0", "S: -ERR what", *listed_together([7])),
            *("C: RETR 1", "S: +OK", "S: one", "S: .", *QUIT),
        ),
        None,
        lines(*SAID_PIPELINING, "TOP 1 0", *LISTING, "RETR 1", "QUIT"),
        b"one\r\n",
        deeds=("client.top",),
    ),
    # A server that reads nothing while it says something, and buffers that hold neither what it says nor what it hears.
    case(
        "retr-pipeline-4k",
        (
            *(*PIPELINING, *listed_together([7] * len(MANY))),
            *(step for number in MANY for step in (f"C: RETR {number}", "S: +OK", LARGE[number - 1], "S: .")),
            *QUIT,
        ),
        None,
        lines(*SAID_PIPELINING, *(f"RETR {number}" for number in MANY), "QUIT"),
        *LARGE,
        deeds=("client.retrieve", "retrieve"),
        buffer_size=4096,
    ),
    case(
        "uidl-million",
        (
            *(*OPEN, "C: STAT", f"S: +OK {MILLION} 7", "C: LIST", "S: +OK"),
            *(*in_portions(b"%d 7\r\n" % number for number in range(1, MILLION + 1)), "S: .", "C: UIDL", "S: +OK"),
            *(*in_portions(b"%d %020d\r\n" % (number, number) for number in range(1, MILLION + 1)), "S: .", *QUIT),
        ),
        None,
        said(*LISTING, "QUIT"),
        deeds=("client.listing",),
        surroundings=ONCE,
        listed=MILLION,
        last_uid=f"{MILLION:020}",
        growth=64,
        work=10,
    ),
]

# What would take whoever read it seconds, is stored as it came, and deleted.
STORING: Final = [
    case(
        f"mime-bombs-{name}-in-a-run",
        (*OPEN, *listed([7]), "C: RETR 1", "S: +OK", bomb, "S: .", "C: DELE 1", "S: +OK", *QUIT),
        None,
        said(*LISTING, "RETR 1", "DELE 1", "QUIT"),
        bomb,
        deeds=("run",),
        fates={"u1": "deleted"},
        surroundings=ONCE,
        work=0.05,
    )
    for name, bomb in BOMBS.items()
]

CASES: Final = [*DELETING, *STORING, *UNIQUE_IDS, *REFUSING, *RETRIEVING_AGAIN, *ASKING]
