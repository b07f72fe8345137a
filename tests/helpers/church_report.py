"""A run whose results are made by hand, hostile names in every place, and its page taken apart."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel

from seeingkit.report import Gallery, GalleryClass, GalleryImage, choose_classes, write_report
from seeingkit.results import (
    ClassResult,
    FSDResult,
    Manifest,
    ModelRecord,
    Results,
    SkippedItem,
    SourceRecord,
)

HOSTILE = "<script>document.title='stolen'</script>\"'&amp;"

# Label, real area in percent, relative difference: the church figure of Bau et al. 2019, read off
# the published picture; areas that the picture does not give are filled in between.
CHURCH: tuple[tuple[str, float, float], ...] = (
    ("building", 45.0, 0.01),
    ("sky", 33.0, 0.0),
    ("tree", 8.0, 0.03),
    ("grass", 3.0, 0.08),
    ("road", 2.4, -0.05),
    ("plant", 1.5, -0.12),
    ("person", 0.97, -0.63),
    ("sidewalk", 0.9, -0.09),
    ("earth", 0.8, 0.55),
    ("wall", 0.7, 0.08),
    ("mountain", 0.6, 0.05),
    ("house", 0.52, -0.25),
    ("water", 0.45, 0.01),
    ("step", 0.35, -0.14),
    ("path", 0.28, -0.01),
    ("car", 0.21, -0.44),
    ("fence", 0.205, -0.54),
    ("forecourt", 0.18, 0.31),
    ("tower", 0.15, -0.2),
    ("sea", 0.119, -0.18),
    ("palm", 0.113, -0.92),
    ("stairway", 0.09, -0.37),
    ("river", 0.085, 0.42),
    ("signboard", 0.08, -0.77),
    ("rock", 0.07, 1.06),
    ("fountain", 0.06, -0.06),
    ("boat", 0.055, -0.63),
    ("ceiling", 0.05, 0.97),
    ("floor", 0.048, 0.4),
    ("field", 0.045, -0.19),
    ("bulletin board", 0.049, 2.05),
    ("traffic light", 0.02, -0.8),
    ("bench", 0.015, 0.1),
)


def class_result(
    label: str, index: int, real: float, relative: float, **changes: Any
) -> ClassResult:
    wide = 0.07 + 0.02 / max(real, 0.02)
    clear = abs(relative) > wide
    verdict = "no evidence"
    if clear:
        verdict = "omitted" if relative <= -0.5 else "reduced" if relative < 0 else "excess"
    values: dict[str, Any] = {
        "label": label,
        "category": "object",
        "index": index,
        "real_area": real,
        "generated_area": real * (1 + relative),
        "relative_difference": relative,
        "ci_low": max(-1.0, relative - wide),
        "ci_high": relative + wide,
        "real_presence": min(1.0, 0.05 + real / 10),
        "generated_presence": min(1.0, (0.05 + real / 10) * (1 + relative)),
        "p_value": 1e-9 if clear else 0.31,
        "q_value": 4e-8 if clear else 0.52,
        "omitted": verdict == "omitted",
        "verdict": verdict,
    }
    return ClassResult(**{**values, **changes})


def church_classes() -> list[ClassResult]:
    classes = [class_result(label, i + 1, *numbers) for i, (label, *numbers) in enumerate(CHURCH)]
    classes.insert(2, class_result("-", 0, 12.0, -0.2))
    classes.insert(4, class_result("brick", 40, 6.0, -0.6, category="material"))
    classes.insert(9, class_result(HOSTILE, 41, 0.75, -0.7, category="<b>odd</b>"))
    classes.append(class_result("wall", 42, 0.012, -0.1, ci_low=None, ci_high=None))
    classes.append(
        class_result(
            "sofa",
            43,
            0.0,
            0.0,
            generated_area=0.02,
            relative_difference=None,
            ci_low=None,
            ci_high=None,
            verdict="excess",
            q_value=0.01,
        )
    )
    return classes


def church_results(**changes: Any) -> Results:
    values: dict[str, Any] = {
        "fsd": FSDResult(
            value=31.2,
            mean_term=12.1,
            cov_term=19.1,
            floor=4.3,
            bias_reduced=26.9,
            p_value=0.001,
            permutations=999,
            floor_halves=5000,
        ),
        "n_real": 10000,
        "n_generated": 10000,
        "segmenter": ModelRecord(
            name="upernet",
            family="upernet",
            weights_sha256="ab" * 32,
            licence="BSD-3-Clause",
            parameters=74_200_000,
            resolution=256,
        ),
        "generator": ModelRecord(
            name="progan:church",
            family="progan",
            weights_sha256="cd" * 32,
            parameters=18_300_000,
            resolution=256,
            options={"truncation": 1.0, "latents": "sequence"},
        ),
        "data": SourceRecord(
            name="church_outdoor_train", kind="lmdb", images=126_227, fingerprint="12" * 32, seed=1
        ),
        "generated": SourceRecord(
            name="progan:church",
            kind="generator",
            images=10_000,
            fingerprint="34" * 32,
            seed=1,
            details={"note": HOSTILE},
        ),
        "preset": {"name": "paper", "resolution": 256, "crop": "centre"},
        "classes": church_classes(),
        "skipped": [SkippedItem(source="real", item=f"a/{HOSTILE}.jpg", reason="cut " + HOSTILE)],
        "warnings": ["the segmenter has not been checked on this domain", HOSTILE],
    }
    return Results(**{**values, **changes})


def church_manifest() -> Manifest:
    return Manifest(
        seeingkit="0.1.0",
        command="seeingkit analyze --gan progan --data 'churches & \"towers\"' --n 10000",
        config={"n": 10000, "seed": 1, "level": 0.05, "data": HOSTILE},
        versions={"python": "3.12.3", "torch": "2.13.0", "numpy": "2.4.0"},
        hashes={"results.json": "ef" * 32},
        timings={"real tally": 7412.3, "generated tally": 8011.0, "comparison": 21.4},
        started="2026-01-12T09:14:03Z",
        finished="2026-01-12T13:31:40Z",
    )


def scene(index: int, seed: int, size: int = 48) -> GalleryImage:
    """A random picture with a rectangle of one label in it, id and all."""
    dice = np.random.default_rng(seed)
    image = dice.integers(0, 256, (size, size, 3), dtype=np.uint8)
    labels = np.zeros((size, size), np.uint16)
    labels[: size // 3] = 2
    labels[size // 2 : size // 2 + 5 + seed % 7, 4:30] = index
    share = 100 * float((labels == index).mean())
    return GalleryImage(f"{HOSTILE}/{seed}.png", image, labels, share)


def church_gallery(results: Results, images: int = 3) -> Gallery:
    names = {record.label: record.index for record in results.classes}
    labels = ["-", *(f"label {k}" for k in range(1, 45))]
    for label, index in names.items():
        labels[index] = label
    classes = tuple(
        GalleryClass(
            label,
            names[label],
            tuple(scene(names[label], k) for k in range(images)),
            tuple(scene(names[label], 50 + k) for k in range(images)),
        )
        for label in choose_classes(results)
    )
    return Gallery(tuple(labels), classes=classes)


def save_results(folder: Path, results: BaseModel) -> None:
    """What a run found and how, as it leaves them."""
    (folder / "results.json").write_text(results.model_dump_json(), encoding="utf-8")
    (folder / "manifest.json").write_text(church_manifest().model_dump_json(), encoding="utf-8")


def write_run(folder: Path, results: Results, gallery: Gallery) -> None:
    """A finished run with pictures, and its report."""
    gallery.save(folder)
    save_results(folder, results)
    write_report(folder, results, church_manifest(), gallery)


def decoded(uri: str) -> Image.Image:
    assert uri.startswith(("data:image/png;base64,", "data:image/webp;base64,"))
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


class PageReader(HTMLParser):
    """Elements and script texts of a page, as a parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data


def read_page(folder: Path) -> PageReader:
    """The report in this folder."""
    return PageReader((folder / "report.html").read_text(encoding="utf-8"))


def check_self_contained(page: PageReader, scripts: int = 3) -> None:
    """So many scripts, none in an attribute, and nothing that is fetched from elsewhere."""
    kinds = [tag for tag, _ in page.elements]
    assert kinds.count("script") == scripts
    assert not {"link", "iframe", "object", "embed", "base"} & set(kinds)
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), (tag, attributes)
