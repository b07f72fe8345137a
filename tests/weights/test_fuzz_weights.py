"""The readers of weights against damage: golden files of every format with bytes changed.

Each case is a file and a seed. A child process changes the file, reads it, asks every family
whether it is theirs, and loads it. Whatever was changed, the outcome is one of our errors or plain
data (then a model, or one of our errors again): no other exception, no code of the file run, no
more than ten seconds of work, no gigabyte. Some changes insert a payload that would leave a mark.

To repeat a case that failed: ``python tests/weights/test_fuzz_weights.py FILE KIND SEED``.
"""

from __future__ import annotations

import io
import json
import os
import pickletools
import random
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

SECONDS = 10  # of processor time a case, so that a busy machine fails nothing
MEBIBYTES = 1024  # a case, above the start
_MARK = "SEEINGKIT_PWNED"
_PAYLOAD = b'cbuiltins\nexec\n(S\'import os; open(os.environ["SEEINGKIT_PWNED"], "w")\'\ntR0'
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number, pickled
_HUGE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**62, 2**63 - 1, 2**64 - 1)
_WINDOW = 6000  # of a pickle in which its structure lies


# -------------------------------------------------------------------------------------- the changes


def flip(content: bytes, rng: random.Random) -> bytes:
    """A few bytes anywhere."""
    return _changed(content, rng, len(content))


def flip_head(content: bytes, rng: random.Random) -> bytes:
    """A few bytes where structure begins."""
    return _changed(content, rng, min(len(content), _WINDOW))


def flip_tail(content: bytes, rng: random.Random) -> bytes:
    """A few bytes where a zip has its directory and a pickle its last objects."""
    return _changed(content[::-1], rng, min(len(content), _WINDOW))[::-1]


def _changed(content: bytes, rng: random.Random, most: int) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(most)
        changed[at] = rng.choice([changed[at] ^ 1 << rng.randrange(8), rng.randrange(256)])
    return bytes(changed)


def truncate(content: bytes, rng: random.Random) -> bytes:
    """The beginning of the file, down to nothing."""
    return content[: rng.choice([rng.randrange(len(content)), rng.randrange(64)])]


def cut_out(content: bytes, rng: random.Random) -> bytes:
    """Without a piece, or with one twice."""
    start = rng.randrange(len(content))
    piece = content[start : start + rng.randint(1, 200)]
    return content[:start] + piece * rng.choice([0, 2]) + content[start + len(piece) :]


def number(content: bytes, rng: random.Random) -> bytes:
    """A number of 4 or 8 bytes replaced by an extreme one, near the front or the end."""
    width = rng.choice([4, 8])
    size = min(len(content), rng.choice([64, _WINDOW]))
    at = rng.randrange(max(1, size - width))
    at = at if rng.random() < 0.5 else max(0, len(content) - size + at)
    value = rng.choice(_HUGE) % 2 ** (8 * width)
    return content[:at] + value.to_bytes(width, "little") + content[at + width :]


def opcodes(content: bytes, rng: random.Random) -> bytes:
    """Opcodes inserted between those of the file's pickle, or in place of one."""
    return _in_pickle(
        content, rng, lambda: b"".join(_opcode(rng) for _ in range(rng.randint(1, 3)))
    )


def payload(content: bytes, rng: random.Random) -> bytes:
    """A call of ``exec`` inserted between the opcodes of the file's pickle."""
    return _in_pickle(content, rng, lambda: _PAYLOAD, insert=True)


def repeat(content: bytes, rng: random.Random) -> bytes:
    """Thousands of one opcode: deep nesting, a long stack, doubled containers."""
    one = rng.choice(
        [b"(", b"]", b"}", b")", b"2", b"\x94", b"(l", b"]]a", b"]2a", b"\x85", b"N\x86"]
    )
    return _in_pickle(content, rng, lambda: one * rng.choice([50, 5000, 300_000]), insert=True)


def _opcode(rng: random.Random) -> bytes:
    """An opcode of any protocol with an argument that is possible, or extreme."""
    made = rng.choice(pickletools.opcodes)
    code = made.code.encode("latin-1")
    if made.arg is None:
        return code
    size = made.arg.n
    if size > 0:
        return code + (rng.choice(_HUGE) % 256**size).to_bytes(size, "little")
    widths = {"1": 1, "4": 4, "8": 8}
    for digit, width in widths.items():
        if made.arg.name.endswith(digit):
            length = rng.choice([0, 3, *_HUGE]) % 256**width
            return code + length.to_bytes(width, "little") + b"abc"
    lines = [b"os\nsystem\n", b"torch._utils\n_rebuild_tensor_v2\n", b"collections\nOrderedDict\n"]
    texts = [b"0\n", b"-99999999999999999999999\n", b"1e999\n", b"'x'\n", b"nan\n", b"\n"]
    return code + rng.choice(lines if made.name in ("GLOBAL", "INST") else texts)


def _in_pickle(
    content: bytes, rng: random.Random, make: Callable[[], bytes], insert: bool = False
) -> bytes:
    """Change the pickle of a file: the only one, one of a legacy file's, or a zip member."""
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for name, inside in members:
                changed = _between(inside, rng, make, insert) if name.endswith(".pkl") else inside
                archive.writestr(name, changed)
        return made.getvalue()
    start = 0
    if content.startswith(_LEGACY):
        sizes = [_length(content, 0)]
        while len(sizes) < 4:
            sizes.append(_length(content, sum(sizes)))
        start = rng.choice([0, sizes[0], sum(sizes[:2]), sum(sizes[:2]), sum(sizes[:3])])
    return content[:start] + _between(content[start:], rng, make, insert)


def _length(content: bytes, start: int) -> int:
    """Bytes of the pickle that begins there."""
    stream = io.BytesIO(content[start:])
    for _ in pickletools.genops(stream):
        pass
    return stream.tell()


def _between(content: bytes, rng: random.Random, make: Callable[[], bytes], insert: bool) -> bytes:
    stops = [at for _, _, at in pickletools.genops(content) if at is not None]
    k = rng.choice([rng.randrange(len(stops)), rng.randrange(min(40, len(stops)))])
    end = stops[k] if insert or k + 1 == len(stops) or rng.random() < 0.5 else stops[k + 1]
    return content[: stops[k]] + make() + content[end:]


def header(content: bytes, rng: random.Random) -> bytes:
    """Another JSON header of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    tree = json.loads(content[8 : 8 + size])
    name = rng.choice([key for key in tree if key != "__metadata__"])
    entry = tree[name]
    change = rng.randrange(6)
    if change == 0:
        entry["shape"] = [rng.choice(_HUGE) for _ in range(rng.randint(0, 3))]
    elif change == 1:
        entry["data_offsets"] = [rng.choice([-1, 0, 8, *_HUGE]) for _ in range(2)]
    elif change == 2:
        entry["dtype"] = rng.choice(["F64", "BOOL", "F4", "", None, 7])
    elif change == 3:
        tree[name] = rng.choice([None, [], {}, {"shape": []}, "x"])
    elif change == 4:
        tree["__metadata__"] = rng.choice([{"seeingkit.family": "dcgan"}, {"a": 3}, [], None])
    else:
        tree[name * 3] = {**entry, "extra": entry}
    text = json.dumps(tree).encode()
    length = rng.choice([len(text), len(text), rng.choice(_HUGE) % 2**64])
    return length.to_bytes(8, "little") + text + content[8 + size :]


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    change.__name__: change
    for change in (
        flip,
        flip_head,
        flip_tail,
        truncate,
        cut_out,
        number,
        opcodes,
        payload,
        repeat,
        header,
    )
}


def applies(kind: str, content: bytes) -> bool:
    """Whether a change is meant for a file: headers of safetensors, opcodes of pickles."""
    safetensors = content[8:9] == b"{"
    if kind == "header":
        return safetensors
    return not (safetensors and kind in ("opcodes", "payload", "repeat"))


# ----------------------------------------------------------------------------- one case, in a child


class TooLongError(BaseException):
    """No ``Exception``: nothing may take it for a damaged file."""


def _alarm(_signal: int, _frame: FrameType | None) -> None:
    raise TooLongError(f"more than {SECONDS} s")


def outcome(path: Path) -> str:
    """What reading a file comes to, as one word; raises what is none of our errors."""
    from seeingkit.errors import SeeingkitError
    from seeingkit.models.recognition import claims_of
    from seeingkit.models.registry import check_options, import_target, registry
    from seeingkit.specs import GanSpec
    from seeingkit.weights import read_checkpoint

    try:
        checkpoint = read_checkpoint(path)
    except SeeingkitError as error:
        if str(path) not in str(error):
            raise AssertionError(f"the file is not named: {error}") from error
        return "refused"
    check_plain(checkpoint.content)
    families = [s for s in registry().specs("gan") if isinstance(s, GanSpec) and s.recognise]
    claims = claims_of(checkpoint, families)
    if len(claims) != 1:
        return "read"
    try:
        model = import_target(claims[0].spec)(path, check_options(claims[0].spec, {}))
    except SeeingkitError as error:
        if str(path) not in str(error):
            raise AssertionError(f"the file is not named: {error}") from error
        return "claimed"
    assert model.info.resolution > 0
    return "loaded"


def check_plain(content: object) -> None:
    """Only data, and no tensor that reaches outside its bytes."""
    import numpy as np
    from torch import Tensor

    from seeingkit.weights import Opaque

    todo, seen = [content], set()
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            todo += [*thing.keys(), *thing.values()]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            todo += list(thing)
        elif isinstance(thing, Opaque):
            todo += [thing.args, thing.state]
        elif isinstance(thing, Tensor):
            last = thing.storage_offset() + sum(
                (n - 1) * s for n, s in zip(thing.shape, thing.stride(), strict=True)
            )
            bytes_there = thing.untyped_storage().nbytes()
            assert not thing.numel() or (last + 1) * thing.element_size() <= bytes_there
            assert thing.numel() * thing.element_size() <= bytes_there
        elif isinstance(thing, np.ndarray):
            assert thing.dtype.kind in "fiub"
        else:
            plain = (str, bytes, memoryview, int, float, complex, type(None))
            assert isinstance(thing, plain), f"{type(thing)} is not plain data"


def run_cases(cases: Iterable[tuple[Path, str, int]], folder: Path) -> Iterator[dict[str, Any]]:
    """Run cases in this process and give those that failed, then the counts."""
    outcomes: dict[str, int] = {}
    signal.signal(signal.SIGPROF, _alarm)
    contents: dict[Path, bytes] = {}
    before = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    for path, kind, seed in cases:
        content = contents.setdefault(path, path.read_bytes())
        changed = folder / f"changed{path.suffix}"
        changed.write_bytes(CHANGES[kind](content, random.Random(f"{path.name} {kind} {seed}")))
        case = {"file": str(path), "kind": kind, "seed": seed}
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            found = outcome(changed)
            outcomes[found] = outcomes.get(found, 0) + 1
        except (Exception, TooLongError):
            yield {**case, "why": traceback.format_exc()}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if grown > MEBIBYTES:
            yield {**case, "why": f"{grown:.0f} MiB"}
            before += grown * 1024  # the peak stays; the next case to raise it is told too
        if os.path.exists(os.environ[_MARK]):
            os.unlink(os.environ[_MARK])
            yield {**case, "why": "the payload ran"}
    yield {"outcomes": outcomes}


def child() -> None:
    """Read cases from stdin, one JSON line each; print failures and counts likewise."""
    import torch

    torch.set_num_threads(1)
    # A mapping that is far too large fails at once instead of taking the machine along.
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc") else 0
    if pages:
        most = pages * resource.getpagesize() + (4 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    cases = [(Path(p), kind, seed) for p, kind, seed in map(json.loads, sys.stdin)]
    with tempfile.TemporaryDirectory() as folder:
        for line in run_cases(cases, Path(folder)):
            print(json.dumps(line), flush=True)


# ---------------------------------------------------------------------------------------- the tests


def golden_files(shared: Path, folder: Path) -> list[Path]:
    """Every golden weights file, and one of our own format."""
    from seeingkit.weights import write_portable
    from seeingkit_adapters.catalog.dcgan import DCGANOptions
    from seeingkit_adapters.dcgan.generator import load

    files = [
        path
        for path in sorted(shared.glob("golden/*/*/*"))
        if path.is_file() and path.suffix not in (".npz", ".json", ".md")
    ]
    generator = load(shared / "golden/dcgan/csinva-mnist-r28/netG.pth", DCGANOptions())
    tensors, config = generator.export()
    return [*files, write_portable(folder / "ours.safetensors", tensors, "dcgan", config)]


def fuzz(
    files: list[Path], seeds: range, folder: Path, seconds: float, *, every: int = 1
) -> dict[str, int]:
    """Run cases of every kind of change in a child; what failed fails the test.

    Each file has each ``every``-th kind, from the file's own place on.
    """
    cases = [
        (str(path), kind, seed)
        for i, path in enumerate(files)
        for k, kind in enumerate(CHANGES)
        if (i + k) % every == 0 and applies(kind, path.read_bytes()[:16])
        for seed in seeds
    ]
    mark = folder / "mark"
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, "--child"],
        input="".join(json.dumps(case) + "\n" for case in cases),
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, _MARK: str(mark), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [line for line in lines if "why" in line]
    assert not mark.exists()
    shown = "\n".join(f"{f['file']} {f['kind']} {f['seed']}\n{f['why']}" for f in failed[:5])
    assert not failed, f"{len(failed)} of {len(cases)} cases failed; first:\n{shown}"
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes: dict[str, int] = lines[-1]["outcomes"]
    assert sum(outcomes.values()) == len(cases)
    return outcomes


@pytest.mark.slow
def test_damaged_files(shared: Path, tmp_path: Path) -> None:
    """One seed for each smaller golden file and every third kind of change."""
    files = [f for f in golden_files(shared, tmp_path) if f.stat().st_size < 1 << 20]
    outcomes = fuzz(files, range(1), tmp_path, 300, every=3)
    assert outcomes["refused"] > 50 and outcomes["loaded"] > 10


def shared_structures() -> dict[str, bytes]:
    """Small pickles whose trees are huge to whoever walks them without remembering."""
    import pickle

    level: Any = 1.0
    for _ in range(4):
        level = {f"k{i}": level for i in range(400)}
    pairs: Any = "x"
    for _ in range(60):
        pairs = (pairs, pairs)
    nested: Any = {}
    for _ in range(60):
        nested = {"state_dict": nested, "netG": nested, "g_ema": nested, "G_ema": nested}
    lists: Any = []
    for _ in range(60):
        lists = [lists] * 3
    loop: dict[str, Any] = {}
    loop["state_dict"] = loop
    made = {"dicts": level, "pairs": {"a": pairs}, "nested": nested, "lists": lists, "loop": loop}
    return {name: pickle.dumps(tree, protocol=4) for name, tree in made.items()}


@pytest.mark.slow
def test_shared_structures_are_walked_once(tmp_path: Path) -> None:
    """By the reader, by every recogniser, and by every family that is named."""
    for name, content in shared_structures().items():
        (tmp_path / f"{name}.pkl").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, "--named", *map(str, tmp_path.glob("*.pkl"))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=_limit_memory,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def ask_every_family(paths: Iterable[Path]) -> None:
    """Each file, which is of no family, is refused by each in time and in few words."""
    from seeingkit import load_generator
    from seeingkit.errors import SeeingkitError
    from seeingkit.models.registry import registry
    from seeingkit.specs import GanSpec

    families = [s.name for s in registry().specs("gan") if isinstance(s, GanSpec) and s.recognise]
    signal.signal(signal.SIGPROF, _alarm)
    for path in paths:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        assert outcome(path) in ("read", "refused"), path
        for family in ("auto", *families):
            try:
                load_generator(family, weights=path)
            except SeeingkitError as error:
                said = str(error)
            else:
                raise AssertionError(f"{family} takes {path}")
            assert len(said) < 2000, (family, path)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory() -> None:
    """Data of a child: a gigabyte above what torch itself takes."""
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 29, 3 << 29))


@pytest.mark.slow
def test_damaged_files_at_length(shared: Path, tmp_path: Path) -> None:
    outcomes = fuzz(golden_files(shared, tmp_path), range(100, 115), tmp_path, 3600)
    assert outcomes["refused"] > 2000


def test_the_changes_do_change_and_the_payload_is_live(shared: Path, tmp_path: Path) -> None:
    """What the tests above rely on: cases are what they say, and an open reader would be caught."""
    files = golden_files(shared, tmp_path)
    by_kind = dict.fromkeys(CHANGES, 0)
    for path in (files[0], files[-1], shared / "golden/progan_pth/legacyfile-r16/checkpoint.pth"):
        content = path.read_bytes()
        for kind, change in CHANGES.items():
            if applies(kind, content):
                made = {change(content, random.Random(seed)) for seed in range(4)}
                assert len(made - {content}) >= 2, (path, kind)
                assert change(content, random.Random(0)) == change(content, random.Random(0))
                by_kind[kind] += 1
    assert min(by_kind.values()) >= 1
    mark = tmp_path / "mark"
    run = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run(
        [sys.executable, "-c", run],
        input=b"\x80\x02" + _PAYLOAD + b"N.",
        env={**os.environ, _MARK: str(mark)},
        check=True,
    )
    assert mark.exists()


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        child()
    elif sys.argv[1:2] == ["--named"]:
        ask_every_family(map(Path, sys.argv[2:]))
    else:
        os.environ.setdefault(_MARK, "/nonexistent/mark")
        with tempfile.TemporaryDirectory() as place:
            for report in run_cases(
                [(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))], Path(place)
            ):
                print(report.get("why", report))
