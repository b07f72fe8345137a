"""The tables of docs/validation-inversion.md, from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seeingkit.analyses.inversion.verdicts import judge_classes
from seeingkit.results import ClassVanishing

from .claims import CALIBRATING, RUNS, class_claims, losses, photo_claims
from .measured import CUTS, NETWORKS, STEPS, Bench
from .sets import COUNTED, SIZES

MEANINGS = {
    "own": "samples as they are",
    "patched": "samples with a foreign patch",
    "clean": "scenes without an omitted class",
    "omitted": "scenes with an omitted class",
    "pasted": "samples with an omitted object pasted in",
}
PHOTOS = (8, 20)
BEFORE = """Earlier versions called a class omitted in a photo where at least half of it was lost
and more than 19 of 20 samples *as they are* lose (so the rate of false claims was to be 5 % of
pairs). Each of these claims about a drawn class is false. On StyleGAN2 that rate is nearly held:
its samples come back badly here, from the average image in few steps, so its bounds are wide."""
AFTER = f"""One verdict for each class over all photos of a run, at a false discovery rate of 5 %.
{RUNS} random subsets of 8 and of 20 images, each judged as a run, and one run of all. *Known*:
which classes are drawn is known (as `analyze` knows it by a comparison); *by samples*: those that
patched samples show, omitted ones among them (`invert`). *Runs*: with a drawn class called "more
often"; *of claims*: mean share of false ones among the claims of a run, which the level bounds;
*of drawn classes*: of those that the photos show. Subsets of one set share images, so these rates
are as uncertain as those of some 60 images, not of {RUNS} runs; a run of all is a single case."""
CUT = """What cannot be drawn depends on the cut: after a later one the generator is held to less of
its training, and can draw more. Shares of (image, class) pairs that lose at least half."""
HEAD = Path(__file__).with_name("head.md")


def page(folder: Path) -> str:
    """The whole page, as Markdown."""
    benches = [Bench(network, folder) for network in NETWORKS]
    numbers = {"steps": STEPS, "counted": COUNTED, "runs": RUNS, "falsely": _falsely(benches[0])}
    parts = [HEAD.read_text(encoding="utf-8").format(**numbers)]
    parts += ["## Networks", *(_truth(bench) for bench in benches)]
    parts += ["## Before: a bound for each photo", BEFORE, "\n".join(_before(benches))]
    parts += ["## After: rates of classes", AFTER, "\n".join(_after(benches))]
    parts += ["## The same by classes", *("\n".join(_classes(bench)) for bench in benches)]
    parts += ["## Two cuts", CUT, "\n".join(_cuts(benches))]
    return "\n\n".join(parts) + "\n"


def _name(bench: Bench) -> str:
    return {"progan": "ProGAN", "stylegan2": "StyleGAN2"}[bench.network.split(":")[0]]


def _truth(bench: Bench) -> str:
    truth = bench.truth()
    shown = [
        f"{label} ({truth.real[label]:.2f} → {truth.generated[label]:.2f} %)"
        for label in truth.omitted
    ]
    return f"{_name(bench)} omits, by mean area in scenes and samples: {', '.join(shown)}."


def _sets(bench: Bench, cut: str) -> list[str]:
    return [name for name in SIZES if bench.has(name, cut)]


def _omitted(bench: Bench) -> set[int]:
    names = bench.measured("own", CUTS[0]).names
    return {names.index(label) for label in bench.truth().omitted}


def _before(benches: list[Bench]) -> Iterator[str]:
    yield (
        "| network | set | images | PSNR, dB | pairs of drawn classes that lose half "
        "| called omitted: pairs | images | omitted classes found |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for bench in benches:
        own = bench.measured("own", CUTS[0])
        for name in _sets(bench, CUTS[0]):
            found = bench.measured(name, CUTS[0])
            claims = photo_claims(found, own, _omitted(bench))
            yield (
                f"| {_name(bench)} | {MEANINGS[name]} | {len(found.psnr)} "
                f"| {found.psnr.mean():.1f} | {_percent(claims.vanish)} | {_percent(claims.pairs)} "
                f"| {_percent(claims.images)} | {_percent(claims.found)} |"
            )


def _after(benches: list[Bench]) -> Iterator[str]:
    yield (
        "| network | set | drawn classes | photos | false: runs | of claims | of drawn classes "
        "| omitted classes found |"
    )
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for bench in benches:
        patched = bench.measured("patched", CUTS[0])
        for name in [x for x in _sets(bench, CUTS[0]) if x != "own"]:
            found = bench.measured(name, CUTS[0])
            pool = range(CALIBRATING if name == "patched" else 0, len(found.psnr))
            for known in (True, False):
                for photos in (*PHOTOS, len(pool)):
                    c = class_claims(
                        found, patched, _omitted(bench), photos, known=known, pool=pool
                    )
                    yield (
                        f"| {_name(bench)} | {MEANINGS[name]} "
                        f"| {'known' if known else 'by samples'} | {c.photos} "
                        f"| {_percent(c.false_runs) if c.runs > 1 else _yes(c.false_runs)} "
                        f"| {_percent(c.false_rate)} "
                        f"| {_percent(c.false_classes)} | {_percent(c.found)} |"
                    )


def _classes(bench: Bench) -> Iterator[str]:
    yield (
        f"{_name(bench)}, scenes with an omitted class, all of them, at {CUTS[0]}; drawn classes "
        "known; omitted ones in bold."
    )
    yield ""
    yield (
        "| class | vanishes | drawn, like area, same photos | patched samples | q | verdict "
        f"| at {CUTS[1]}: vanishes | verdict |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | --- | ---: | --- |"
    omitted, found = _omitted(bench), bench.measured("omitted", CUTS[0])
    later = {record.label: record for record in _judged(bench, CUTS[1])}
    for record in _judged(bench, CUTS[0]):
        if not record.vanished:
            continue
        hard = record.in_samples
        assert hard is not None
        label = (
            f"**{record.label}**" if found.names.index(record.label) in omitted else record.label
        )
        itself = " (itself)" if hard.same_class else ""
        yield (
            f"| {label} | {record.vanished} of {record.photos} | {_percent(record.in_photos.rate)} "
            f"| {_percent(hard.rate)}{itself} "
            f"| {'–' if record.q_value is None else f'{record.q_value:.2g}'} | {record.verdict} "
            + (
                f"| {after.vanished} of {after.photos} | {after.verdict} |"
                if (after := later.get(record.label))
                else "| – | – |"
            )
        )


def _falsely(bench: Bench) -> str:
    """What is claimed from all scenes without an omitted class, with both rates."""
    texts = []
    for record in _judged(bench, CUTS[0], "clean"):
        hard = record.in_samples
        if record.verdict == "more often" and hard is not None:
            texts.append(
                f"`{record.label}`, which vanishes from {record.vanished} of {record.photos} scenes"
                f", {'itself' if hard.same_class else 'and such classes'} from "
                f"{_percent(hard.rate)} of {hard.pairs} patched samples"
            )
    return "; ".join(texts) or "nothing"


def _judged(bench: Bench, cut: str, name: str = "omitted") -> list[ClassVanishing]:
    """Verdicts on all scenes of a set at a cut; empty where they were not inverted."""
    if not (bench.has(name, cut) and bench.has("patched", cut)):
        return []
    found, patched = (bench.measured(one, cut) for one in (name, "patched"))
    drawn = frozenset(range(1, len(found.names))) - _omitted(bench)
    photos = losses(found, range(len(found.psnr)))
    return judge_classes(photos, losses(patched, range(CALIBRATING)), drawn)


def _cuts(benches: list[Bench]) -> Iterator[str]:
    yield "| network | set | cut | PSNR, dB | drawn classes vanish | omitted classes vanish |"
    yield "| --- | --- | --- | ---: | ---: | ---: |"
    for bench in benches:
        omitted = list(_omitted(bench))
        for name in ("patched", "clean", "omitted"):
            for cut in CUTS:
                if not bench.has(name, cut):
                    continue
                found = bench.measured(name, cut)
                pairs = losses(found, range(len(found.psnr)))
                left_out = np.isin(pairs.label, omitted)
                gone = pairs.vanished
                yield (
                    f"| {_name(bench)} | {MEANINGS[name]} | {cut} | {found.psnr.mean():.1f} "
                    f"| {_percent(float(gone[~left_out].mean()))} "
                    f"| {_percent(float(gone[left_out].mean()) if left_out.any() else None)} |"
                )


def _yes(share: float) -> str:
    return "yes (one run)" if share else "no (one run)"


def _percent(share: float | None) -> str:
    return (
        "–" if share is None else f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"
    )
