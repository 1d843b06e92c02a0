"""The most memory that each play takes, from a fresh baseline: `python -m tests.hostile.peaks`.

Each is played in a process of its own, a child of one that has imported everything and played only what goes well. So
nothing lies there that was freed by plays before and would be used again without being counted, and all begin with the
same. By how much the peak of its process grows is what a play takes. It is shown of those that take most; and how those
fail that do, for that or for anything else.
"""

import argparse
import asyncio
import gc
import io
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from tests.hostile.case import Case, Deed, Link
from tests.hostile.children import in_child
from tests.hostile.memory import is_memory_measured
from tests.hostile.play import play
from tests.hostile.test_hostile import play_what_goes_well, plays
from tests.hostile.watch import watched_loop

__all__ = ["main"]

_MEBIBYTE: Final = 1 << 20
_SHOWN: Final = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Play those cases whose name holds what is asked for. Returns 0 if all of them held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.peaks")
    parser.add_argument("name", nargs="?", default="", help="of plays, a part of it")
    name: str = parser.parse_args(arguments).name
    if not is_memory_measured():
        print("how much memory a process has at most cannot be measured here")
        return 1
    play_what_goes_well()
    gc.collect()
    growths: dict[str, int] = {}
    failed = False
    for each in plays():
        if name in each.id:
            outcome = in_child(partial(_grow, *each.values))
            if isinstance(outcome, int):
                growths[each.id] = outcome
            else:
                failed = True
                print(f"{each.id}\n{outcome}", flush=True)
    greatest = sorted(growths, key=growths.__getitem__, reverse=True)[:_SHOWN]
    for each_name in greatest:
        print(f"{growths[each_name] / _MEBIBYTE:6.1f} MiB  {each_name}")
    print(f"{len(growths)} plays held")
    return int(failed or not growths)


def _grow(case: Case, deed: Deed, link: Link, loop: str) -> int:
    log = io.StringIO()
    logger = logging.getLogger()
    logger.addHandler(logging.StreamHandler(log))
    logger.setLevel(logging.DEBUG if case.logged else logging.WARNING)
    with asyncio.Runner(loop_factory=lambda: watched_loop(loop)) as runner:
        return runner.run(play(case, deed, link, log.getvalue))


if __name__ == "__main__":
    sys.exit(main())
