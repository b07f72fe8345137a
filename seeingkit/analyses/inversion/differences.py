"""Preset ``paper`` and the published method: each way in which a run differs, as a sentence.

The published method is ``optimize_residuals.py`` of the code of Bau et al. 2019 with its trained
encoders (``run_invert.sh``): the loss L1 of pixels + L1 of VGG-16's relu4_2 + Σ mean δ_i², 3,000
steps of Adam from 0.01, δ at the layers before a cut after the fourth layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seeingkit.contracts import ModelEncoder, Prepared

from .encoders.recipes import PAPER
from .prepared import LayerPrepared
from .presets import PAPER_LAYER, PRESETS

_CUT, _EXTENT = 4, 8
"""Layers before the paper's cut, and the extent of r."""


def paper_differences(prepared: Iterable[Prepared], cuts: Sequence[str]) -> list[str]:
    """Sentences, each once, for the methods of a run at its cuts; none for other presets.

    ``paper_differences([inverter.prepare(generator)], [generator.default_cut])``
    """
    found: dict[str, None] = {}
    for one in prepared:
        if isinstance(one, LayerPrepared) and one.options.preset == "paper":
            found |= dict.fromkeys(_loss(one))
            found |= dict.fromkeys(_start(one))
            for cut in cuts:
                found |= dict.fromkeys(_residuals(one, cut))
            found |= dict.fromkeys(_options(one))
    return list(found)


def _loss(prepared: LayerPrepared) -> Iterator[str]:
    """Perceptual features, and the optimiser of z."""
    features, preset = prepared.features, prepared.preset
    if prepared.target == "none":
        return
    if features is None:
        yield (
            "there are no perceptual features, so the loss is L1 of pixels alone; the paper adds "
            "VGG-16's relu4_2 (seeingkit ls features says where to get it)"
        )
    elif features.info.layer != PAPER_LAYER:
        size = "relative to the photo's features" if preset.relative_features else "as they are"
        fits = ", so that its term is about as large as that of pixels" * preset.relative_features
        yield (
            f"{features.name} stands in for VGG-16's relu4_2, {size} and with weight "
            f"{preset.perceptual_weight:g}{fits} (the paper: weight 1; seeingkit ls features says "
            "where to get VGG-16)"
        )
    if prepared.target == "z":
        yield (
            "z is optimised by Adam on pixels and perceptual features; the published code has "
            "L-BFGS and the encoder's own features"
        )


def _start(prepared: LayerPrepared) -> Iterator[str]:
    """The encoder of the initial guess."""
    encoder = prepared.encoder
    if encoder is None:
        if prepared.start == "average":
            yield (
                "there is no encoder, so inversion starts from the average r with one residual, at "
                "the cut; --encoder train trains one by the paper's recipe"
            )
        return
    if isinstance(encoder, ModelEncoder):
        yield (
            "inversion starts from the encoder that came with the generator, which learnt from "
            "photos along with it, not from its samples; --encoder train trains one by the paper's "
            "recipe"
        )
        return
    record = encoder.about().get("record", {})
    recipe = record.get("recipe", {})
    if recipe != PAPER.record():
        shown = f"{encoder.kind} encoder was trained by recipe {recipe.get('name', 'unknown')!r}"
        if "tune_steps" in recipe:
            shown += f" ({recipe['tune_steps']:,} steps of all together)"
        yield (
            f"the {shown}, not by the paper's ({PAPER.tune_steps:,}); --encoder train trains one "
            "by the paper's recipe"
        )
        return
    yield (
        f"the {encoder.kind} encoder was trained with the losses of the paper's text (L1; its "
        "code: cosine over channels) on fresh samples, with gradients cleared at each step (its "
        "code never clears them) and no convolution frozen"
    )


def _residuals(prepared: LayerPrepared, cut: str) -> Iterator[str]:
    """Place of r, and of the residuals."""
    if prepared.target != "r":
        return
    place = prepared.generator.boundary(cut)
    extent = place.shape[-1] if len(place.shape) == 3 else 1
    if (place.index, extent) != (_CUT, _EXTENT):
        optimised = ""
        if prepared.preset.residuals == "before" and prepared.start == "encoder":
            last = max(1, place.index - 1)
            optimised = f", so that δ_1{f' … δ_{last}' * (last > 1)} is optimised"
        yield (
            f"r is at {place.name}, after {place.index} layer{'s' * (place.index > 1)}, "
            f"{extent}x{extent}{optimised}; the paper cuts after {_CUT} layers, "
            f"{_EXTENT}x{_EXTENT}, and optimises δ_1 … δ_{_CUT - 1}"
        )
    if prepared.carried:
        yield (
            f"{', '.join(prepared.carried)} of the state are optimised along with r; the paper's "
            "generators have no such tensors"
        )


def _options(prepared: LayerPrepared) -> Iterator[str]:
    """Settings of the preset that options have replaced."""
    own = PRESETS["paper"]
    if prepared.target == "none":
        return
    now, then = prepared.schedule, own.residual
    pairs = [("steps", now.steps, then.steps), ("rate", now.rate, then.rate)]
    if prepared.options.perceptual_weight is not None:
        pairs.append(
            ("perceptual weight", prepared.preset.perceptual_weight, own.perceptual_weight)
        )
    if prepared.target == "r":
        for name in ("residuals", "residual_weight", "free_latent"):
            pairs.append(
                (name.replace("_", " "), getattr(prepared.preset, name), getattr(own, name))
            )
    changed = [f"{name} {new} (the paper: {old})" for name, new, old in pairs if new != old]
    if changed:
        yield f"by its options the run has {', '.join(changed)}"
