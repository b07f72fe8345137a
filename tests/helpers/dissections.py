"""Records of dissections for pages and viewers, with pictures of noise, of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from seeingkit.results import (
    DissectedLayer,
    DissectionResults,
    DissectionSettings,
    Manifest,
    ModelRecord,
    UnitAgreement,
    UnitClass,
    UnitResult,
)

CLASSES = (("sky", "object"), ("tree", "object"), ("window", "part"), ("brick", "material"))
CARDS, IMAGES = 96, 4


def unit(layer: str, number: int, rng: np.random.Generator, names: tuple[str, ...]) -> UnitResult:
    """A unit of some class; one in three has no label."""
    k = int(rng.integers(len(CLASSES)))
    iou, labelled = float(rng.uniform(0.05, 0.6)), number % 3 > 0
    return UnitResult(
        layer=layer,
        unit=number,
        label=names[k] if labelled else None,
        category=CLASSES[k][1],
        plane="object",
        nearest=names[k],
        iou=iou,
        chance=iou / 3,
        low=0.9 * iou,
        high=min(1.0, 1.1 * iou),
        q=1e-5 if labelled else 0.4,
        quality=0.1,
        level=0.5,
        active=0.1,
        runners_up=[UnitAgreement(label="grass", category="object", iou=0.1, chance=0.05, q=0.02)],
        strongest=[int(x) for x in rng.permutation(400)[:12]],
        peaks=[float(12 - x) for x in range(12)],
    )


def made_dissection(
    layers: int = 2, units: int = 30, *, names: tuple[str, ...] = (), run: Path | None = None
) -> DissectionResults:
    """A dissection of noise.

    Args:
        names: of the four classes, in place of their own.
        run: folder that gets pictures of the first units; none: without pictures.
    """
    rng = np.random.default_rng(0)
    called = names or tuple(name for name, _ in CLASSES)
    found, records = [], []
    for k in range(layers):
        name = f"r{2 ** (2 + k // 2)}.conv{k % 2}"
        own = [unit(name, number, rng, called) for number in range(units)]
        labels = [one.label for one in own if one.label]
        counts = [
            UnitClass(label=label, category=CLASSES[called.index(label)][1], units=n)
            for label in dict.fromkeys(labels)
            if (n := labels.count(label))
        ]
        counts.sort(key=lambda one: -one.units)
        kinds: dict[str, int] = {}
        for one in counts:
            kinds[one.category] = kinds.get(one.category, 0) + one.units
        found.append(
            DissectedLayer(
                name=name,
                extent=(8, 8),
                units=units,
                labelled=len(labels),
                classes=counts,
                categories=kinds,
                distinct=len(counts),
                groups=62,
                images=992,
                pixels=992 * 1024,
                candidates=2 * units,
                claimed=len(labels),
                by_iou=units,
                by_iou_of_others=units // 2,
            )
        )
        records += own
    results = DissectionResults(
        generator=ModelRecord(name="toy:noise", family="toy"),
        segmenter=ModelRecord(name="levels", family="levels"),
        n=1000,
        settings=DissectionSettings(
            rule="default",
            rule_words="A rule.",
            tested=True,
            null="nothing belongs together",
            level_images=320,
            level_seed=1_000_000,
            fdr=0.05,
            least_iou=0.04,
            side=32,
            group=16,
            preset="native",
            classes=list(called),
        ),
        layers=found,
        units=records,
    )
    return results if run is None else with_pictures(results, run, rng)


def with_pictures(
    results: DissectionResults, run: Path, rng: np.random.Generator
) -> DissectionResults:
    (run / "units/images").mkdir(parents=True, exist_ok=True)
    units, pictures = [], {}
    for k, one in enumerate(results.units):
        if one.label and sum(x.masks is not None for x in units) < CARDS:
            masks = rng.random((32, 32 * IMAGES)) > 0.7
            name = f"units/{k:05d}.png"
            Image.fromarray(masks.astype(np.uint8) * 255).convert("1").save(run / name)
            one = one.model_copy(update={"masks": name, "shown": one.strongest[:IMAGES]})
            for image in one.shown:
                path = pictures[str(image)] = f"units/images/{image:06d}.png"
                if not (run / path).exists():
                    pixels = np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((32, 32, 1)))
                    Image.fromarray(pixels.astype(np.uint8)).save(run / path)
        units.append(one)
    return results.model_copy(update={"units": units, "pictures": pictures})


def write_dissection(run: Path, **settings: object) -> DissectionResults:
    """A finished run of ``dissect`` in a folder, without its page."""
    run.mkdir(parents=True, exist_ok=True)
    results = made_dissection(run=run, **settings)  # type: ignore[arg-type]
    manifest = Manifest(
        seeingkit="0",
        command="seeingkit dissect --gan toy:noise",
        config={"command": "dissect", "generated": "toy:noise"},
        started="2026-11-28T10:00:00+00:00",
        finished="2026-11-28T10:01:00+00:00",
    )
    for name, record in (("results", results), ("manifest", manifest)):
        (run / f"{name}.json").write_text(json.dumps(record.model_dump(mode="json")))
    return results
