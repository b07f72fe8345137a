"""Plants omissions, runs the comparison many times, and writes ``docs/validation.md``.

    python -m benchmarks.omissions --quick        # minutes; writes beside its cache
    python -m benchmarks.omissions --short        # about two hours of processor time
    python -m benchmarks.omissions                # about five such hours; writes docs/validation.md

Finished parts are kept in the cache folder, by the code of the statistics and of the drawing that
made them (``trials.code_digest``), so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sources import Source

SCENES, SEGMENTED = 400_000, 20_000


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.omissions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="few repeats, small n, small pools")
    add("--short", action="store_true", help="three numbers of images, fewer omissions")
    add("--processes", type=int, default=os.cpu_count() or 1)
    add("--only", action="append", default=[], metavar="SOURCE", help="only these sources")
    add("--n", action="append", type=int, default=[], help="only these numbers of images")
    add("--repeats", type=int, help="at n up to 2,000 (default 500; 60 where planted)")
    add("--permutations", type=int, help="of each comparison (default 199; 99 where planted)")
    add("--scenes", type=int, help=f"rendered scenes in the pool (default {SCENES:,})")
    add("--segmented", type=int, help=f"segmented scenes in the pool (default {SEGMENTED:,})")
    add("--camvid", type=Path, help="folder of CamVid's label maps (default $SEEINGKIT_CAMVID)")
    add("--folder", type=Path, help="where parts are kept (default: the cache folder)")
    add("--docs", type=Path, help="where the page goes (default: docs; beside the parts if quick)")
    add("--plan", action="store_true", help="time one repeat of each kind of cell, and stop")
    add("--write-only", action="store_true", help="run nothing; write the page of what is there")
    return parser.parse_args()


def main() -> None:
    """Run what is missing and write the page."""
    args = arguments()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read when numpy is imported, hence the imports below
    from seeingkit.system.cache import cache_folder

    from . import grid, page, running
    from .hypotheses import kept_table
    from .promises import promises
    from .truths import TRUTH_DRAWS, nearest_class

    started = time.perf_counter()
    folder = args.folder or cache_folder() / "validation"
    effort = grid.QUICK if args.quick else grid.SHORT if args.short else grid.Effort()
    if args.repeats:
        n = args.repeats
        effort = replace(effort, repeats=n, promised=n, power_repeats=n)
    if args.permutations:
        both = {"permutations": args.permutations, "power_permutations": args.permutations}
        effort = replace(effort, **both)
    draws = 400_000 if args.quick else TRUTH_DRAWS
    sources, notes = open_sources(args, folder)
    known: running.Truths = {}
    cells: list[grid.Cell] = []
    for source in sources.values():
        known |= running.known_truths(source, [None], draws, folder)
        power = source.name in grid.POWER_SOURCES
        truth = known[source.name, None]
        plants = grid.plants_of(truth, effort, power=power)
        known |= running.known_truths(source, plants, draws, folder)
        promised = nearest_class(truth, grid.PROMISED_PRESENCE) if power else None
        cells += grid.cells_of(source, plants, effort, args.n, promised)
    if args.plan:
        running.plan(cells, sources, known)
        return
    if not args.write_only:
        running.run(cells, sources, known, folder, args.processes)
    found = running.findings(cells, sources, known, folder)
    if not found:
        raise SystemExit("nothing has been run of this; leave out --write-only")
    command = "python -m benchmarks.omissions" + (
        "".join(f" --{name}" for name in ("quick", "short") if getattr(args, name))
    )
    docs = args.docs or (folder / "quick" if args.quick else Path("docs"))
    shown = kept_table(folder, effort.repeats, write_only=args.write_only)
    path = page.write(found, docs, command, notes, shown)
    running.say(f"{path}: {(time.perf_counter() - started) / 60:.1f} min in all")
    print(promises(found))


def open_sources(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Source], list[str]]:
    """Sources by name, and notes on those that are missing or small."""
    from . import sources as origin
    from .families import FAMILIES
    from .running import say

    names = [*FAMILIES, "scenes", "segmented", "camvid"]
    unknown = set(args.only) - set(names)
    if unknown:
        raise SystemExit(f"no source {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    wanted = args.only or names
    notes = [
        "A pool is a finite population. Disjoint samples of it differ as independent ones do, so "
        "tests and differences are judged at every n; intervals of single means and of FSD only "
        f"where n is at most {100 * origin.SMALL_PART:g} % of the pool.",
    ]
    found = {name: origin.family_source(name) for name in FAMILIES if name in wanted}
    if "scenes" in wanted:
        images = args.scenes or (5_000 if args.quick else SCENES)
        found["scenes"] = origin.scenes(folder, images, args.processes, say)
    if "segmented" in wanted:
        images = args.segmented or (1_000 if args.quick else SEGMENTED)
        found["segmented"] = origin.segmented(folder, images, say)
    if "camvid" in wanted:
        named = args.camvid or os.environ.get("SEEINGKIT_CAMVID")
        beside = Path(__file__).parents[3] / "shared" / "real" / "camvid" / "labels"
        path = Path(named) if named else beside
        try:
            found["camvid"] = origin.camvid(path)
            notes.append(
                "CamVid's images are frames of videos. Drawn at random they are exchangeable, so "
                "null runs are fair; they stand for few streets."
            )
        except FileNotFoundError:
            notes.append("CamVid was not at hand (--camvid) and is left out.")
            say(notes[-1])
    return found, notes


if __name__ == "__main__":
    main()
