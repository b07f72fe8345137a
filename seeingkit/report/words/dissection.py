"""The findings of a dissection as sentences: labelled units, their classes, how sure they are."""

from __future__ import annotations

from collections.abc import Iterator

from seeingkit.results import DissectedLayer, DissectionResults

from .assumptions import assumed
from .cautions import skipped_caution
from .findings import Summary
from .numbers import count, level, share

LEAST_GROUPS = 10
"""Groups of images that a test needs (``analyses.dissection.claims``)."""
LAYERS_TOLD = 4
"""Layers besides the first that have a sentence of their own."""
NAMED = 8
"""Classes that a sentence names."""


def ratio(value: float) -> str:
    """An IoU or another share with two digits: ``0.31``, ``0.08``, ``0.004``.

    >>> ratio(0.3141), ratio(0.0042), ratio(0.0)
    ('0.31', '0.004', '0')
    """
    if value == 0:
        return "0"
    return f"{value:.2f}" if value >= 0.0095 else f"{value:.1g}" if value >= 5e-5 else "< 0.0001"


def summarise_dissection(results: DissectionResults) -> Summary:
    """Put a dissection into words: the layer of the largest labelled share first."""
    layers = sorted(results.layers, key=lambda one: -one.labelled / max(one.units, 1))
    if not layers:
        return Summary("No layer was dissected.", (), tuple(dissection_cautions(results)))
    first, *others = layers
    details = [_short_sentence(layer) for layer in others[:LAYERS_TOLD]]
    if len(others) > LAYERS_TOLD:
        details.append(f"{count(len(others) - LAYERS_TOLD, 'more layer')} in the table of layers.")
    headline = layer_sentence(first, results)
    return Summary(headline, tuple(details), tuple(dissection_cautions(results)))


def _short_sentence(layer: DissectedLayer) -> str:
    """Of a layer after the first: ``In r8.conv1 59 of 128: sky 23, building 21.``"""
    labelled = f"{layer.labelled:,}" if layer.labelled else "none"
    told = f"In {layer.name} {labelled} of {layer.units:,}"
    return f"{told}: {classes_words(layer)}." if layer.labelled else f"{told}."


def layer_sentence(layer: DissectedLayer, results: DissectionResults) -> str:
    """``58 of 128 units of r8.conv1 agree with a class more than place and area explain: …``."""
    noun = "unit" if results.settings.basis == "units" else "direction"
    noun = "channel" if layer.responses else noun
    what = "agrees" if layer.labelled == 1 else "agree"
    how = f"{what} with a class more than place and area explain"
    if not results.settings.tested:
        reach = "reaches" if layer.labelled == 1 else "reach"
        how = f"{reach} the bounds of the rule “{results.settings.rule}”, which has no null"
    if not layer.labelled and results.settings.tested and layer.groups < LEAST_GROUPS:
        return f"{count(results.n, 'image')} are too few to label units of {layer.name}."
    if not layer.labelled:
        none = "is shown to agree with a class more than place and area explain"
        none = none if results.settings.tested else how.replace("reach ", "reaches ")
        return f"None of {count(layer.units, noun)} of {layer.name} {none}."
    units = f"{layer.labelled:,} of {count(layer.units, noun)} of {layer.name}"
    return f"{units} {how}: {classes_words(layer)}."


def classes_words(layer: DissectedLayer, limit: int = NAMED) -> str:
    """``building 22, sky 21, tree 10 and 3 more``; empty where no unit has a label."""
    named = [f"{one.label} {one.units:,}" for one in layer.classes]
    if len(named) > limit:
        rest = sum(one.units for one in layer.classes[limit - 1 :])
        classes = count(len(named) - limit + 1, "more class", "more classes")
        named = [*named[: limit - 1], f"{classes} with {count(rest, 'unit')}"]
    return ", ".join(named)


def by_iou_words(layer: DissectedLayer) -> str:
    """How many units a bound on IoU alone would label, with own and with other label maps."""
    return (
        f"{layer.name}: a bound of 0.04 on IoU alone would label {layer.by_iou:,} of "
        f"{count(layer.units, 'unit')}, and {layer.by_iou_of_others:,} with the label maps of "
        "other images."
    )


def null_sentence(results: DissectionResults) -> str:
    """What a label claims, and how often it is wrong; for the section on doubt."""
    settings = results.settings
    if not settings.tested:
        return (
            f"{settings.rule_words} No error rate is known of such labels; the columns below say "
            "how many units a bound on IoU labels when every label map is another image's."
        )
    kept = ", which keeps place and area"
    if settings.of_class:
        kept = " of one class of the generator, which keeps that class, place and area"
    return (
        f"A label rejects the null that {settings.null}. Label maps were exchanged within groups "
        f"of {settings.group} images{kept}; a one-sided t-test over groups gives a p-value for "
        "each candidate, a pair of unit and class. Of the pairs of a layer "
        f"that the test claims at most {level(settings.fdr)} are wrong on average (Benjamini and "
        f"Hochberg). A label also needs an IoU at least {settings.least_iou:g} above chance, and "
        "is the claimed class furthest above it in these images. Candidates and levels come from "
        f"{count(settings.level_images, 'image')} of another series."
    )


def dissection_cautions(results: DissectionResults) -> list[str]:
    """The reasons to read a dissection with care, most important first."""
    found = [
        *_few(results),
        *_untested(results),
        *skipped_caution(results.skipped),
        *assumed([results.generator, results.segmenter]),
        *results.warnings,
    ]
    return list(dict.fromkeys(found))


def _few(results: DissectionResults) -> Iterator[str]:
    groups = min((layer.groups for layer in results.layers), default=LEAST_GROUPS)
    if results.settings.tested and groups < LEAST_GROUPS:
        least = LEAST_GROUPS * results.settings.group
        yield (
            f"With {count(results.n, 'image')} there are {count(groups, 'group')} of "
            f"{results.settings.group}; a test needs {LEAST_GROUPS}, so no unit can get a label. "
            f"Take at least {least} images."
        )


def _untested(results: DissectionResults) -> Iterator[str]:
    if results.settings.tested or not results.layers:
        return
    worst = max(results.layers, key=lambda one: one.by_iou_of_others / max(one.units, 1))
    yield (
        f"The rule “{results.settings.rule}” has no null: with the label maps of other images, "
        f"IoU alone reaches 0.04 for {share(worst.by_iou_of_others / max(worst.units, 1))} of the "
        f"units of {worst.name}."
    )


def response_words(results: DissectionResults) -> str:
    """How masks of styles are to be read; empty without styles among the layers."""
    if not any(layer.responses for layer in results.layers):
        return ""
    return (
        "A channel of a style has no map. Its mask is bright where moving the channel alone by one "
        "standard deviation changes the image more than its level times as much as moving any "
        "channels of the style does there."
    )


def shown_words(results: DissectionResults) -> str:
    """Which units have pictures, and what was left out."""
    labelled = sum(layer.labelled for layer in results.layers)
    pictured = sum(unit.masks is not None for unit in results.units)
    if not labelled:
        return "No unit has a label, so none has pictures; the table has the nearest class of each."
    if pictured == labelled:
        return f"All {count(labelled, 'unit')} with a label have pictures."
    return (
        f"{pictured:,} of {count(labelled, 'unit')} with a label have pictures, of each layer and "
        "class the clearest; the table below has all units."
    )


__all__ = [
    "by_iou_words",
    "classes_words",
    "dissection_cautions",
    "layer_sentence",
    "null_sentence",
    "ratio",
    "response_words",
    "shown_words",
    "summarise_dissection",
]
