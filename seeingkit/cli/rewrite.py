"""``seeingkit rewrite``: plan an edit of a generator's weight, as a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seeingkit.errors import ExitCode

from . import options as o
from .groups import Settings, names, takes
from .options import REWRITING, SWEEPING, option
from .output import print_json, say
from .paint import model_settings
from .sweep import run_sweep

if TYPE_CHECKING:
    from seeingkit.runs.rewrite import Rewritten

planned = partial(option, panel=REWRITING)
swept = partial(option, panel=SWEEPING)

RequestFile = Annotated[
    Path,
    typer.Argument(
        metavar="REQUEST",
        help="JSON with object, paste and key: [NUMBER, PNG mask] each, as the notebook of the "
        "original saves it.",
    ),
]
Site = Annotated[
    o.Text,
    planned("Layer that is edited, as r16.conv1. With --sweep: some, as a,b; default: all."),
]
Rank = Annotated[o.Number, planned("Directions of the keys. Default: 6; published: 1.")]
Keep = Annotated[float | None, planned("How much the change of other places counts. Default: 5.")]
SolverName = Annotated[
    Literal["closed", "published"], planned("Least squares, or Adam as in the original.")
]
Steps = Annotated[o.Number, planned("Steps of Adam; closed: after the least squares.")]
Erase = Annotated[int, planned("Erase: leave out so many units of the context; published.")]
Protect = Annotated[
    list[Path] | None, planned("Request of an earlier edit to leave as it is; may be repeated.")
]
KeyImages = Annotated[int, planned("Images whose keys are left as they are.")]
ImageSeed = Annotated[
    o.Number, planned("Seed of the images that the request numbers. Default: its own, else 1.")
]
Images = Annotated[
    o.Number,
    option("Images that the effect is measured on; 0: none. Default: 100; --sweep: 200.", "-n"),
]
Sweep = Annotated[bool, swept("Choose layer, rank and keep by trying many (minutes).", "--sweep")]
Ranks = Annotated[o.Text, swept("Ranks that are tried. Default: 1,3,6,10.")]
Keeps = Annotated[o.Text, swept("Weights of other places that are tried. Default: 20,5,1.25.")]
SweepImages = Annotated[o.Number, swept("Images that they are compared on. Default: 60.")]
Budget = Annotated[
    float | None,
    swept("Share of the labels of other places that may change. Default: 0.15."),
]
Matching = Annotated[
    o.Text, swept("Layer whose keys say which places match. Default: all that are swept.")
]
WantedClasses = Annotated[
    o.Text, swept("Classes that are to appear, as tree,door. Default: those that are copied.")
]
Out = Annotated[Path, o.running("Write the edit here.")]


@takes(model_settings)
def rewrite(
    request: RequestFile,
    gan: o.Gan = None,
    *,
    settings: Settings,
    site: Site = None,
    rank: Rank = None,
    keep: Keep = None,
    solver: SolverName = "closed",
    steps: Steps = None,
    erase: Erase = 0,
    protect: Protect = None,
    key_images: KeyImages = 400,
    image_seed: ImageSeed = None,
    labels: o.Labels = None,
    n: Images = None,
    sweep: Sweep = False,
    ranks: Ranks = None,
    keeps: Keeps = None,
    sweep_images: SweepImages = None,
    budget: Budget = None,
    matching: Matching = None,
    wanted: WantedClasses = None,
    out: Out = Path("edit.safetensors"),
    json: o.Json = False,
) -> int:
    """Plan an edit of a generator: a rule of one layer, by copy, paste and context."""
    from seeingkit.runs.rewrite import rewrite
    from seeingkit.runs.sweep import check_options

    published = "published" if solver != "closed" else None
    single: Settings = {"rank": rank, "keep": keep, "steps": steps, "erase": erase}
    single |= {"protect": protect, "solver": published}
    several: Settings = {"ranks": ranks, "keeps": keeps, "sweep-images": sweep_images}
    several |= {"budget": budget, "matching": matching, "wanted": wanted}
    check_options(sweep, site, single, several)
    if sweep:
        chosen: Settings = {"sites": site, "ranks": ranks, "keeps": keeps, "images": sweep_images}
        chosen |= {"budget": budget, "matching": matching, "key_images": key_images}
        more = {"wanted": names(wanted), "n": n, "image_seed": image_seed, "labels": labels}
        run_sweep(gan, request, out, chosen, {**more, **settings}, json=json)
        return ExitCode.DONE
    assert site is not None  # refused above
    done = rewrite(
        gan,
        request,
        site,
        out=out,
        rank=rank,
        keep=keep,
        solver=solver,
        steps=steps,
        erase=erase,
        protect=protect or (),
        key_images=key_images,
        n=100 if n is None else n,
        image_seed=image_seed,
        labels=labels,
        **settings,
    )
    _told(done, json=json)
    return ExitCode.DONE


def _told(done: Rewritten, *, json: bool) -> None:
    """Say what was planned, and what it does."""
    from seeingkit.report.words.rewriting import edit_sentence

    if json:
        effect = None if done.effect is None else done.effect.model_dump(mode="json")
        print_json(
            {
                "edit": str(done.path),
                "site": done.edit.site,
                "rank": done.edit.rank,
                "effective_rank": done.effective_rank,
                "about": dict(done.edit.about),
                "effect": effect,
            }
        )
        return
    say(
        f"{done.path}: an edit of {done.edit.site} along {done.edit.rank} of "
        f"{done.edit.shape[1]} directions (the keys have an effective rank of "
        f"{done.effective_rank:.3g})"
    )
    if done.effect is not None:
        say(edit_sentence(done.effect))
    say(f"Use it with --edit {done.path} wherever a generator is named.")
