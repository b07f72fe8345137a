"""Is it right, and fast, on this device? One JSON under ``benchmarks/results/``.

Rates (``device_rates.py``) beside their targets, and every model of ``../shared/golden``
(``golden_models.py``): the conformance kit on the device, and its numbers against the CPU's. Parts
that no longer fit into ``--minutes`` are left out, and named; a part that fails has its error in
the JSON, and the others go on. ``--quick`` takes a few small ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from device_rates import rates
from golden_models import QUICK, cases, tried

from seeingkit.errors import one_line
from seeingkit.system.devices import resolve_device

SHARED = Path(__file__).resolve().parents[2] / "shared"
RESULTS = Path(__file__).resolve().parent / "results"
TARGETS = {
    "tally ÷ bare, minichurches": {"cpu": 0.90, "cuda": 0.90},
    "tally ÷ bare, espnetv2": {"cpu": 0.95, "cuda": 0.95},
    "tally ÷ bare, upernet-336": {"cpu": 0.95, "cuda": 0.95},
    "tally ÷ loop of 2019, upernet-336": {"cpu": 2.5, "cuda": 10.0},
    "tally in bf16 ÷ loop of 2019, upernet-336": {"cuda": 20.0},
    "second analysis ÷ generating and segmenting": {"cpu": 0.9, "cuda": 0.9},
    "inversion, batched ÷ one at a time": {"cpu": 1.6, "cuda": 8.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="a few small cases, for the tests")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, help="the JSON; default: by hardware and versions")
    parser.add_argument("--only", help="rates with this in their names; no JSON without --out")
    parser.add_argument("--n", type=int, help="images of the second analysis")
    args = parser.parse_args()
    started, device = time.perf_counter(), resolve_device(args.device)
    record = {**hardware(device), "quick": args.quick, "models": [], "rates": {}, "left_out": []}

    def fits(what: str) -> bool:
        if time.perf_counter() - started < 60 * args.minutes:
            return True
        record["left_out"].append(what)
        return False

    # Rates first: of the many small models, the last ones may be left out.
    for name, measure in rates(device, args.quick, args.shared, args.n).items():
        if (args.only or "") in name and fits(name):
            rate = attempt(measure)  # of a few images, no rate means anything
            record["rates"][name] = rate if args.quick else with_target(name, device, rate)
            print(name, record["rates"][name], flush=True)
    for name, load in cases(args.shared / "golden", QUICK if args.quick else ()):
        if args.only is None and fits(name):
            found = attempt(lambda load=load: tried(load, device, kit=not args.quick))
            record["models"].append({"case": name, **found})
            print(record["models"][-1], flush=True)
    record["seconds"] = round(time.perf_counter() - started, 1)
    if args.only is not None and args.out is None:  # part of it must not replace the whole
        print(summary(record))
        return
    path = args.out or RESULTS / f"device-{slug(record)}{'-quick' * args.quick}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {summary(record)}")


def attempt(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a part gives, or its error: the others are still measured."""
    try:
        return part()
    except Exception as error:
        return {"error": one_line(f"{type(error).__name__}: {error}")[:300]}


def hardware(device: str) -> dict[str, Any]:
    """What was measured on."""
    there = torch.device(device)
    gpu = torch.cuda.get_device_name(there) if there.type == "cuda" else None
    return {
        "device": there.type,
        "hardware": gpu or f"{platform.machine()} CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if gpu else None,
        "python": platform.python_version(),
        "seeingkit": version("seeingkit"),
        "tf32": {"convolutions": torch.backends.cudnn.allow_tf32} if gpu else None,
    }


def slug(record: Mapping[str, Any]) -> str:
    """Hardware and versions, for a file's name."""
    text = f"{record['hardware']} torch {record['torch']}".lower()
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in text).split())


def summary(record: Mapping[str, Any]) -> str:
    """One line of what was found."""
    wrong = [m["case"] for m in record["models"] if not m.get("right")]
    missed = [name for name, rate in record["rates"].items() if not rate.get("met", True)]
    missed += [f"{name} (failed)" for name, rate in record["rates"].items() if "error" in rate]
    return (
        f"{len(record['models'])} models, not right: {', '.join(wrong) or 'none'}; targets missed: "
        f"{', '.join(missed) or 'none'}; left out: {len(record['left_out'])}; "
        f"{record['seconds']:.0f} s"
    )


def with_target(name: str, device: str, rate: dict[str, Any]) -> dict[str, Any]:
    """A rate beside what it should be at least."""
    if "ratio" not in rate:
        return rate
    least = TARGETS[name].get(torch.device(device).type)
    return {**rate, "target": least, "met": None if least is None else rate["ratio"] >= least}


if __name__ == "__main__":
    main()
