"""The method card: images, models, statistics, options and versions of a run, as plain text."""

from __future__ import annotations

from seeingkit.results import (
    AnyResults,
    ArtifactResults,
    AssessmentResults,
    DissectionResults,
    GeneratorsResults,
    InterventionResults,
    Manifest,
    ModelRecord,
    Results,
    SourceRecord,
    UnitContrastsResults,
)

from ..words.cautions import against
from ..words.numbers import count, duration, number, plain_text, probability

Entries = list[tuple[str, str]]


def method_card(results: AnyResults, manifest: Manifest) -> list[tuple[str, Entries]]:
    """Titles with their (name, value) pairs; a page escapes them."""
    finished = manifest.finished or "not recorded"
    run = [("seeingkit", manifest.seeingkit), ("started", manifest.started), ("finished", finished)]
    groups: dict[str, Entries] = {}
    if isinstance(results, Results):
        groups["Real images"] = _source(results.data, results.n_real)
        groups["Generated images"] = _source(results.generated, results.n_generated)
    elif isinstance(results, GeneratorsResults):
        groups["Real images"] = _source(results.data, results.n_real)
        for one in results.generators:
            groups[one.name] = [*_source(one.source, one.n), *_model(one.generator)]
    elif isinstance(results, DissectionResults):
        groups["Dissection"] = _dissection(results)
    elif isinstance(results, UnitContrastsResults):
        groups["Comparison"] = _unit_contrasts(results)
        for k, network in enumerate(results.networks):
            groups[f"Run {k + 1}"] = _model(network)
    elif isinstance(results, ArtifactResults):
        groups["Real images"] = _source(results.data, results.n_real + results.settings.search_real)
        groups["Search and tests"] = _artifacts(results)
    elif isinstance(results, AssessmentResults):
        groups["Real images"] = _source(results.data, results.n_real)
        groups["Assessment"] = _assessment(results)
    elif isinstance(results, InterventionResults):
        groups["Intervention"] = _intervention(results)
    else:
        photos = len({record.image for record in results.inversions})
        groups["Photos"] = _source(results.data, photos)
    if not isinstance(results, GeneratorsResults | UnitContrastsResults):
        groups["Generator"] = _model(results.generator)
    groups["Segmenter"] = _model(results.segmenter)
    groups["Statistics"] = _statistics(results) if isinstance(results, Results) else []
    groups["Run"] = run
    groups["Options"] = [(key, plain_text(value)) for key, value in manifest.config.items()]
    groups["Versions"] = list(manifest.versions.items())
    groups["Hashes"] = list(manifest.hashes.items())
    groups["Time taken"] = [(key, duration(value)) for key, value in manifest.timings.items()]
    return [(title, entries) for title, entries in groups.items() if entries]


def _dissection(results: DissectionResults) -> Entries:
    settings = results.settings
    side = "all" if settings.side is None else f"{settings.side} a side at most"
    entries = [
        ("images", f"{results.n:,}"),
        ("seed", str(results.seed)),
        ("images of the levels", f"{settings.level_images:,}, seed {settings.level_seed:,}"),
        ("rule", settings.rule),
        ("directions", settings.basis),
        ("pixels counted", side),
        ("preset", settings.preset),
        ("classes tested", ", ".join(settings.classes[:NAMES])),
    ]
    if more := len(settings.classes) - NAMES:
        entries += [("and more", f"{more:,} classes")] if more > 0 else []
    rate = [("false discovery rate", f"{settings.fdr:g}")] if settings.tested else []
    return [*entries, *rate]


def _unit_contrasts(results: UnitContrastsResults) -> Entries:
    return [
        ("images of each run", f"{results.n:,}"),
        ("images in a group", f"{results.group:,}"),
        ("draws of groups", f"{results.draws:,}"),
        ("probability of any wrong claim in a panel", f"{results.level:g}"),
        ("rule", results.rule),
        ("preset", results.preset),
    ]


def _artifacts(results: ArtifactResults) -> Entries:
    settings = results.settings
    return [
        ("layer", f"{results.layer}, {results.layer_units:,} units"),
        ("images tested", f"{results.n:,}, seed {results.seed:,}"),
        ("real images tested", f"{results.n_real:,}"),
        ("images searched", f"{settings.search_images:,}, seed {settings.search_seed:,}"),
        ("real images searched", f"{settings.search_real:,}"),
        ("images made for the ranking", f"{settings.passes:,}"),
        ("ranking", settings.ranking),
        ("distance", settings.space),
        ("strength", f"{settings.alpha:g}"),
        ("error rate", f"{settings.level:g}"),
        ("preset", settings.preset),
    ]


def _intervention(results: InterventionResults) -> Entries:
    chosen = {"given": "named", "optimised": "causal effect", "single": "alone", "iou": "IoU"}
    box = [] if results.box is None else [("part of the image", plain_text(list(results.box)))]
    return [
        ("layer", results.layer),
        ("edit", results.edit),
        ("units", ", ".join(str(unit) for unit in results.units)),
        ("chosen by", chosen[results.chosen_by]),
        ("class", results.label or "none"),
        ("images", f"{results.n:,}, seed {results.seed:,}"),
        *box,
        ("preset", results.preset),
        ("false discovery rate", f"{results.effect.level:g}"),
    ]


def _assessment(results: AssessmentResults) -> Entries:
    edits = [
        (
            f"edit {edit.name}",
            f"{edit.site}, {count(edit.rank, 'direction')}, strength {edit.strength:g}, "
            f"{edit.digest[:12]}",
        )
        for edit in results.edits
    ]
    return [
        *edits,
        ("images", f"{results.n:,}, seed {results.seed:,}"),
        ("preset", results.preset),
        ("error rate of each question", f"{results.level:g}"),
    ]


def _statistics(results: Results) -> Entries:
    fsd, power, check = results.fsd, results.power, results.segmenter_share
    pairs, scenes, error = results.pairs, results.scenes, fsd.standard_error
    blocks = f"of {count(fsd.block, 'group' if results.groups else 'image')}"
    checked = f"{against(results)}, {count(check.images, 'image')}" if check else ""
    entries = [
        ("false discovery rate", f"{results.level:g}"),
        ("permutations", f"{fsd.permutations:,}"),
        ("random blocks that change sides", blocks if fsd.block > 1 else ""),
        ("floor measured on halves of", plain_text(fsd.floor_halves)),
        ("interval of the FSD", "" if fsd.ci_high is None else f"{fsd.confidence:g}"),
        ("its standard error", "" if error is None else f"{number(error)} percent²"),
        ("classes tested", f"{power.classes_tested:,}" if power else ""),
        ("p needed by one class alone", probability(power.threshold) if power else ""),
        ("pairs tested", f"{pairs.tested:,}" if pairs else ""),
        ("neighbours of a scene", f"{scenes.k:,}" if scenes else ""),
        ("segmenter checked", checked),
    ]
    preset = [(f"preset: {key}", plain_text(value)) for key, value in results.preset.items()]
    return [entry for entry in entries if entry[1]] + preset


NAMES = 20
"""At most so many classes of a data set are named."""


def _source(source: SourceRecord, used: int) -> Entries:
    details = dict(source.details)
    if len(names := details.get("class_names") or ()) > NAMES:
        details["class_names"] = [*names[:NAMES], f"and {len(names) - NAMES:,} more"]
    return [
        ("name", source.name),
        ("kind", source.kind),
        ("used / available", f"{used:,} / {source.images:,}"),
        ("seed", plain_text(source.seed)),
        ("fingerprint", source.fingerprint),
        *(("note", note) for note in source.notes),
        *(("left out", f"{item}: {reason}") for item, reason in source.left_out[:20]),
        *((key, plain_text(value)) for key, value in details.items()),
    ]


def _model(model: ModelRecord | None) -> Entries:
    if model is None:
        return []
    return [
        ("name", model.name),
        ("family", model.family),
        ("parameters", f"{model.parameters:,}"),
        ("resolution", f"{model.resolution} px" if model.resolution else "any"),
        ("weights SHA-256", model.weights_sha256 or "none"),
        ("licence", model.licence),
        *((f"option: {key}", plain_text(value)) for key, value in model.options.items()),
        *(("assumed, not in the file", text) for text in model.assumptions),
    ]
