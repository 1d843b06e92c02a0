"""The peak of each play, in a process of its own."""

import subprocess
import sys
from textwrap import dedent

import pytest

from tests.hostile.memory import is_memory_measured

if not is_memory_measured():
    pytest.skip("/proc/self/clear_refs cannot be written", allow_module_level=True)


def run(*arguments: str) -> str:
    """Return what Python says; it has no thread but one there, as it must have to be forked."""
    played = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stdout + played.stderr
    return played.stdout


def test_what_a_child_takes_or_how_it_fails_is_told() -> None:
    said = run(
        "-c",
        dedent("""
            import os
            from tests.hostile.children import in_child
            from tests.hostile.memory import Growth

            def grow():
                growth = Growth()
                bytearray(64 << 20)
                return growth.octets

            def fail():
                raise ValueError("too much")

            bytearray(200 << 20)  # what was had before does not count
            print(in_child(grow) - (64 << 20) >> 20)
            print(in_child(fail).splitlines()[-1])
            print(in_child(lambda: os._exit(3)))
        """),
    )
    assert said.splitlines()[0] in ("-1", "0")
    assert said.splitlines()[1:] == ["ValueError: too much", "it has ended by itself, with the status 768"]


@pytest.mark.exhaustive
def test_no_play_takes_more_than_it_may_from_a_fresh_baseline() -> None:
    assert run("-m", "tests.hostile.peaks").endswith(" plays held\n")
