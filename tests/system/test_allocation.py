"""Freed memory that a process keeps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from seeingkit.system.allocation import keep_memory
print(keep_memory() if sys.argv[1] == "kept" else None)
def work():
    blocks = [np.ones(3 << 20) for _ in range(5)]  # of 24 MiB
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone")


def faults(word: str, **more: str) -> tuple[str, int]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | more
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, word],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    said, pages = done.stdout.split()
    return said, int(pages)


@glibc
def test_freed_blocks_serve_again() -> None:
    usual, kept = faults("usual"), faults("kept")
    assert kept[0] == "True"
    assert kept[1] * 10 < usual[1]


@glibc
def test_settings_of_the_environment_stand() -> None:
    assert faults("kept", MALLOC_ARENA_MAX="2")[0] == "False"
