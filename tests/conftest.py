"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers.chromium import Chromium

hypothesis.settings.register_profile("unhurried", deadline=None)  # no test asserts a time
hypothesis.settings.load_profile("unhurried")

os.environ["SEEINGKIT_OFFLINE"] = "1"  # no test, and no process of one, leaves this machine

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite in the background ignores interrupts, and so would the processes it interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_finish() -> None:
    """Torch, Altair and all test modules are there to stay: the collector need not visit them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden and real files beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with golden and real files is not beside this checkout")
    return SHARED


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Torch computes with two threads, as where a user has two cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """A browser for the pages of one module."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on the PATH")
    chromium = Chromium(program)
    yield chromium
    chromium.close()
