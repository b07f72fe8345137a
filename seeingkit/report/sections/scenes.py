"""The section on scenes: whole compositions of classes, covered by generated images or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seeingkit.results import Results, ScenesResult, UncoveredImage

from ..pictures.encoding import ScenePictures
from ..selection import SCENES
from ..templates import Section, render
from ..words.numbers import area, between, share


@dataclass(frozen=True)
class UncoveredScene:
    """A real image that no generated one is near, with its picture if there is one."""

    record: UncoveredImage
    classes: str
    pictures: ScenePictures | None


def scenes_section(results: Results, pictures: Sequence[ScenePictures] = ()) -> Section | None:
    """The coverage of whole scenes by generated images, and real images far from all of them."""
    scenes = results.scenes
    if scenes is None:
        return None
    shown = {entry.real.id: entry for entry in pictures}
    uncovered = [
        UncoveredScene(record, _contents(record.classes), shown.get(record.image))
        for record in scenes.least_covered[:SCENES]
    ]
    body = render(
        "scenes.html.j2",
        scenes=scenes,
        pictured=[entry for entry in uncovered if entry.pictures is not None],
        listed=[entry for entry in uncovered if entry.pictures is None],
        hidden=round((1 - scenes.coverage) * scenes.images_real) - SCENES,
    )
    return Section(
        id="scenes", title="Scenes", body=body, answer=_scenes_answer(scenes), folded=True
    )


def _scenes_answer(scenes: ScenesResult) -> str:
    ends = ""
    if scenes.coverage_ci is not None:
        ends = f" (95 % interval {between(scenes.coverage_ci, share)})"
    text = f"{share(scenes.coverage)} of the real scenes have a generated one near{ends}"
    if scenes.coverage_expected is not None:
        text += f"; a second sample of real images would reach {share(scenes.coverage_expected)}"
    return text + "."


def _contents(classes: dict[str, float]) -> str:
    return ", ".join(f"{name} {area(percent)}" for name, percent in classes.items())
