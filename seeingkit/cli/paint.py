"""``seeingkit paint``: a page on which units are painted, and the replay of saved edits."""

from __future__ import annotations

import sys
import threading
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .groups import Settings, names, takes
from .options import EDIT, generator_options, option, parse_options, segmenter_options, unit_numbers
from .output import print_json, say
from .view import Open, Port, _has_screen

if TYPE_CHECKING:
    from seeingkit.runs.painting_models import Wish

painted = partial(option, panel=EDIT)

Layer = Annotated[
    str, painted("Layer (boundary) that is painted. Default: its map of about 8 x 8 cells.")
]
Units = Annotated[
    o.Texts, painted("Units of a brush, strongest first, as tree=3,17,40-44; may be repeated.")
]
Choose = Annotated[
    o.Text, painted("Search the units of these classes by their causal effect, as tree,door.")
]
Run = Annotated[o.File, painted("Take units from this run of dissect.", "--dissection")]
Index = Annotated[o.Text, painted("Images of a series of their own. Default: 0-11.")]
Photo = Annotated[o.File, painted("Paint on this picture of yours, inverted (a minute or two).")]
Search = Annotated[int, painted("Images of another series that inserted values come from.")]
Edits = Annotated[o.File, painted("Replay this file of saved edits instead, as PNG.")]
Serve = Annotated[
    bool, option("Serve the page on this machine, for networks too large for a page.", "--serve")
]
Out = Annotated[o.File, o.running("Write the page, or the picture, here.")]


FIRST = "0-11"
"""Images of a page, unless others are named."""


def model_settings(
    *,
    weights: o.Weights = None,
    gan_option: o.GanOption = None,
    edit: o.Edit = None,
    segmenter: o.Segmenter = None,
    segmenter_weights: o.SegmenterWeights = None,
    segmenter_option: o.SegmenterOption = None,
    precision: o.Precision = None,
    compiled: o.Compile = False,
    preset: o.PresetName = None,
    seed: o.Seed = None,
    device: o.Device = "auto",
) -> Settings:
    """The models, and the machine."""
    return {
        "weights": weights and str(weights),
        "gan_options": generator_options(gan_option, edit),
        "segmenter": segmenter,
        "segmenter_weights": segmenter_weights and str(segmenter_weights),
        "segmenter_options": segmenter_options(segmenter_option, precision, compiled),
        "preset": preset,
        "seed": seed,
        "device": device,
    }


def wish_settings(
    *,
    layer: Layer = "",
    units: Units = None,
    choose: Choose = None,
    dissection: Run = None,
    index: Index = None,
    labels: o.Labels = None,
    photo: Photo = None,
    inverter_option: o.InverterOption = None,
    search: Search = 128,
) -> Settings:
    """What the page shows, as the setting ``wish``.

    Raises:
        UsageError: numbers of images beside a photo.
    """
    if photo is not None and index is not None:
        raise UsageError("--photo is painted on alone: leave --index out")
    wish = {
        "layer": layer,
        "units": brush_units(units or ()),
        "choose": names(choose),
        "dissection": dissection,
        "indices": unit_numbers(index or FIRST),
        "labels": labels,
        "photo": photo,
        "inverter": parse_options(inverter_option),
        "search": search,
    }
    return {"wish": wish}


@takes(wish_settings, model_settings)
def paint(
    gan: o.Gan = None,
    *,
    settings: Settings,
    edits: Edits = None,
    serve: Serve = False,
    port: Port = 0,
    browser: Open = None,
    out: Out = None,
    json: o.Json = False,
) -> int:
    """Paint with units: a page to draw and erase classes in a generator's images by hand."""
    from seeingkit.runs.paint import paint, replay_edits
    from seeingkit.runs.painting_models import Wish

    wish = Wish(**settings.pop("wish"))
    if edits is not None:
        if wish != Wish(**_PLAIN):
            raise UsageError("--edits replays a file as it is; leave layer, units and images out")
        _refuse(settings, serve=serve, port=port)
        chosen = {name: settings[name] for name in ("weights", "gan_options", "device")}
        path = replay_edits(edits, gan, out=out or Path("painted.png"), **chosen)
    elif serve:
        if out is not None or json:
            raise UsageError("--serve writes no file: leave --out and --json out")
        return _serve(gan, wish, settings, port, browser)
    else:
        path = paint(gan, wish, out=out or Path("painting.html"), **settings)
    if json:
        print_json({"picture" if edits is not None else "page": str(path)})
    else:
        say(str(path))
    return ExitCode.DONE


def _refuse(settings: Settings, *, serve: bool, port: int) -> None:
    """Settings that say nothing where a file of edits is replayed."""
    given = [
        name for name in ("segmenter", "segmenter_weights", "preset", "seed") if settings[name]
    ]
    given += ["segmenter_option"] if settings["segmenter_options"] else []
    given += [name for name, value in (("serve", serve), ("port", port)) if value]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"--edits replays a file as it is; leave {option} out")


_PLAIN: dict[str, Any] = {"units": {}, "indices": list(range(12)), "inverter": {}}


def brush_units(texts: Any) -> dict[str, list[int]]:
    """Units of brushes as ``CLASS=NUMBERS``.

    Raises:
        UsageError: no equals sign, a class given twice, or no numbers.

    >>> brush_units(["tree=3,17", "door=5-6"])
    {'tree': [3, 17], 'door': [5, 6]}
    """
    found: dict[str, list[int]] = {}
    for text in texts:
        name, equals, numbers = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--units {text!r}: write the class and its units, as tree=3,17")
        if name.strip() in found:
            raise UsageError(f"--units: {name.strip()!r} is given twice")
        found[name.strip()] = unit_numbers(numbers)
    return found


def _serve(gan: str | None, wish: Wish, settings: Settings, port: int, browser: bool | None) -> int:
    try:
        import starlette.applications  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--serve needs a server, which is an extra ({error}): pip install 'seeingkit[view]'"
        ) from error
    from seeingkit.runs.easel import prepare_easel
    from seeingkit.runs.painting_models import open_models
    from seeingkit.viewing.painting import serve_easel

    def ready(address: str, once: str) -> None:
        say(address)
        sys.stdout.flush()
        say("for you alone: the address holds a secret; Ctrl-C ends it", error=True)
        if _has_screen() if browser is None else browser:
            threading.Thread(target=webbrowser.open, args=(once,), daemon=True).start()

    easel = prepare_easel(open_models(gan, wish, **settings), wish)
    try:
        serve_easel(easel, port=port, ready=ready)
    except KeyboardInterrupt:  # the usual end
        return ExitCode.DONE
    return ExitCode.DONE
