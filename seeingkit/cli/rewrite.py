"""``seeingkit rewrite``: plan an edit of a generator's weight, as a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seeingkit.errors import ExitCode

from . import options as o
from .groups import Settings, takes
from .options import REWRITING, option
from .output import print_json, say
from .paint import model_settings
from .sweep import check_options, run_sweep, sweep_options

if TYPE_CHECKING:
    from seeingkit.runs.rewrite import Rewritten

planned = partial(option, panel=REWRITING)

RequestFile = Annotated[
    Path,
    typer.Argument(
        metavar="REQUEST",
        help="JSON with object, paste and key: [NUMBER, PNG mask] each, as the notebook of the "
        "original saves it; the file of a photo may stand for the number.",
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
Out = Annotated[Path, o.running("Write the edit here.")]


@takes(model_settings, sweep_options)
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
    out: Out = Path("edit.safetensors"),
    json: o.Json = False,
) -> int:
    """Plan an edit of a generator: a rule of one layer, by copy, paste and context."""
    from seeingkit.runs.rewrite import rewrite

    swept = settings.pop("swept")
    single: Settings = {"rank": rank, "keep": keep, "steps": steps, "erase": erase or None}
    single |= {"protect": protect, "solver": None if solver == "closed" else solver}
    if check_options(swept, site, single):
        more: Settings = {"n": n, "image_seed": image_seed, "labels": labels, **settings}
        run_sweep(gan, request, out, {**swept, "site": site, "key_images": key_images}, more, json)
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
    say(f"All that it does: seeingkit assess {done.path}, with the same --gan and options.")
    say(f"Use it with --edit {done.path} wherever a generator is named.")
