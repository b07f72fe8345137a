"""Peak memory and time of ``load_generator(weights=FILE)`` for large files of every layout.

Written first, into a temporary folder: StyleGAN2 checkpoints whose generator alone has
``--megabytes``; beside it lie what training leaves there, the trained generator and the
discriminator, except in our own format. Each is then loaded in a fresh process that has imported
torch and all that loading needs (a tiny file of the same layout was loaded before).

Memory, beyond that process before it loads, in multiples of the bytes of the generator's tensors:
``private``, the peak of anonymous memory, where copies lie; ``resident``, the peak of all, with the
pages of the mapped file, which the system takes back at need; ``kept``, anonymous memory when
loading is done. A network that is copied once out of its file has 1.0, and two copies at the same
time 2.0. Linux only, as these numbers are from /proc.

Seconds are a ratio to a baseline on the same file, interleaved: ``torch.load(weights_only=True)``
and ``load_state_dict`` where torch can read the file, else reading all its bytes once and copying
as many as the generator has. The baseline's memory is measured alike.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from interleaved import ratio

TORCH_READS = ("torch zip", "torch legacy")
PAUSE = 0.0005  # seconds between two looks at a process


class Loaded(NamedTuple):
    """One loading: seconds, and bytes beyond what the process had before."""

    seconds: float
    private: int
    resident: int
    kept: int


# -------------------------------------------------------------------------------- the fresh process


def ours(path: str) -> Any:
    from seeingkit import load_generator

    return load_generator(weights=path)


def by_torch(path: str) -> Any:
    """What everybody writes: a network, then its numbers."""
    import torch

    state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["g_ema"]
    network = torch.nn.Module()
    for name, tensor in state.items():
        owner = network
        *parents, last = name.split(".")
        for parent in parents:
            if not hasattr(owner, parent):
                owner.add_module(parent, torch.nn.Module())
            owner = owner.get_submodule(parent)
        owner.register_buffer(last, torch.zeros(tensor.shape))
    network.load_state_dict(state)
    return network


def by_bytes(path: str, size: int) -> Any:
    content = Path(path).read_bytes()
    return bytearray(memoryview(content)[:size])


def child(how: str, path: str, tiny: str, size: int) -> None:
    """Load once; the other side of ``loaded``."""
    import torch

    torch.set_num_threads(1)
    load = {"ours": ours, "torch": by_torch, "bytes": lambda path: by_bytes(path, size)}[how]
    load(tiny)
    gc.collect()
    with contextlib.suppress(AttributeError):  # glibc: give back what the tiny file had
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of what is resident starts here
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    model = load(path)
    print(time.perf_counter() - started, flush=True)
    sys.stdin.readline()
    del model


# ------------------------------------------------------------------------------------- measurement


def status(process: int) -> dict[str, int]:
    """Bytes by the names of /proc/PID/status."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(value) * 1024 for name, value, _ in pairs}


def loaded(how: str, path: Path, tiny: Path, size: int) -> Loaded:
    """Load a file in a process of its own and look at its memory meanwhile."""
    words = [sys.executable, __file__, "--child", how, str(path), str(tiny), str(size)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        assert made.stdin is not None and made.stdout is not None
        if made.stdout.readline().strip() != "ready":
            raise SystemExit(f"{how}: cannot load {path.name}")
        before = status(made.pid)
        answer: list[str] = []
        waiting = threading.Thread(target=lambda: answer.append(made.stdout.readline()))
        made.stdin.write("go\n")
        made.stdin.flush()
        waiting.start()
        peak = before["RssAnon"]
        while waiting.is_alive():
            peak = max(peak, status(made.pid).get("RssAnon", 0))
            waiting.join(PAUSE)
        if not answer[0].strip():
            raise SystemExit(f"{how}: cannot load {path.name}")
        after = status(made.pid)
        made.stdin.close()
    return Loaded(
        float(answer[0]),
        max(peak, after["RssAnon"]) - before["RssAnon"],
        after["VmHWM"] - before["VmRSS"],
        after["RssAnon"] - before["RssAnon"],
    )


def table(folder: Path, megabytes: int, rounds: int, layouts: list[str]) -> None:
    """Write the files one after the other, measure each, and print a line for it."""
    from checkpoint_files import LAYOUTS

    print(
        "| layout | file | private | resident | kept | seconds | ÷ baseline "
        "| baseline: private | resident |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in layouts:
        path, tiny = folder / "large", folder / "tiny"
        size = LAYOUTS[name](path, megabytes * 10**6)
        LAYOUTS[name](tiny, 10**6)
        plain = "torch" if name in TORCH_READS else "bytes"
        found: dict[str, list[Loaded]] = {"ours": [], plain: []}
        for _ in range(rounds):
            for how, values in found.items():
                values.append(loaded(how, path, tiny, size))
        seconds = {how: [value.seconds for value in values] for how, values in found.items()}
        mine, theirs = (peaks(values, size) for values in found.values())
        print(
            f"| {name} | {path.stat().st_size / 1e6:.0f} MB "
            f"| {mine['private']:.2f} | {mine['resident']:.2f} | {mine['kept']:.2f} "
            f"| {statistics.median(seconds['ours']):.2f} "
            f"| {ratio(seconds, plain, 'ours'):.2f} ({plain}) "
            f"| {theirs['private']:.2f} | {theirs['resident']:.2f} |",
            flush=True,
        )
    print(f"multiples of the generator's {size / 1e6:.0f} MB; medians of seconds, most of memory")


def peaks(values: list[Loaded], size: int) -> dict[str, float]:
    """The most of each kind of memory, in generators."""
    return {
        kind: max(getattr(value, kind) for value in values) / size
        for kind in ("private", "resident", "kept")
    }


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:5], size=int(sys.argv[5]))
        return
    if not sys.platform.startswith("linux"):
        raise SystemExit("memory is read from /proc: Linux only")
    from checkpoint_files import LAYOUTS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=250, help="of the generator's tensors")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layout", action="append", choices=list(LAYOUTS), help="default: all")
    parser.add_argument("--folder", help="where the files are written; default: the system's")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        table(Path(folder), args.megabytes, args.rounds, args.layout or list(LAYOUTS))


if __name__ == "__main__":
    main()
