"""The sentence that says what a run is about to do, before it takes its time."""

from __future__ import annotations

from pathlib import Path

from seeingkit.errors import printable
from seeingkit.models.resolved import ResolvedModel

from .directory import RunDirectory
from .plan import Plan


def intent(plan: Plan, n: int, out: str | Path | None, *, real: int = 0) -> str:
    """What a plan does to how many images, with what, and where its report will be.

    ``intent(resolve(config), 1000, None, real=1000)``.

    Args:
        plan: as it was resolved: defaults that nobody gave are in it.
        n: generated images; of ``invert`` the photos.
        real: real images.
        out: as of ``RunDirectory.check``.
    """
    config = plan.config
    name = _name(plan.generated.generator, plan.generated.name)
    many = f"{n:,} image{'' if n == 1 else 's'}"
    segmented = _name(plan.segmenter, "no segmenter, so without classes")
    methods = ", ".join(config.inversion.methods)
    if config.command == "invert":
        photos = f"{n:,} photo{'' if n == 1 else 's'}"
        said = [f"inverting {photos} through {name} by {methods}", f"segmented by {segmented}"]
    elif config.command == "dissect":
        layers = ", ".join(config.dissection.layers) or "the usual layer"
        layers = "all layers" if layers == "all" else layers
        said = [f"dissecting {layers} of {name} in {many}", f"segmented by {segmented}"]
    elif config.command == "artifacts":
        layer = config.artifacts.layer or "the usual layer"
        said = [
            f"searching artifact units of {layer} of {name} in {config.artifacts.search:,} images"
        ]
        said.append(f"tests in {many} against {real:,} of {plan.real.name}")
        said.append(f"segmented by {segmented}")
    elif config.command == "assess":
        model = plan.generated.generator
        edits = " + ".join(path.stem for path in model.edits) if model else "edits"
        said = [f"assessing {printable(edits)} of {name}: {many} without and with"]
        said.append(f"against {real:,} of {plan.real.name}")
        said.append(f"segmented by {segmented}")
    elif config.command == "intervene":
        edit = config.intervention
        units = f"{edit.choose} units" if edit.choose else f"{len(edit.units)} units"
        units = units.removesuffix("s") if units == "1 units" else units
        done = "inserting" if edit.insert else "ablating"
        said = [f"{done} {units} at {edit.layer} of {name} in {many}", f"segmented by {segmented}"]
    else:
        said = [f"comparing {many} of {name} with {real:,} of {plan.real.name}"]
        said.append(f"segmented by {segmented}")
        if plan.inverters:
            per_class = config.inversion.per_class
            said.append(f"then inverting {per_class} photos of each missing class by {methods}")
    folder = RunDirectory.check(config, out).path
    return f"{', '.join(said)}; on {plan.device}, into {folder}"


def _name(model: ResolvedModel | None, instead: str) -> str:
    return instead if model is None else model.name
