"""The method card: images, models, statistics, options and versions of a run, as plain text."""

from __future__ import annotations

from seeingkit.results import InversionResults, Manifest, ModelRecord, Results, SourceRecord

from ..words.cautions import against
from ..words.numbers import count, duration, number, plain_text, probability

Group = tuple[str, list[tuple[str, str]]]


def method_card(results: Results | InversionResults, manifest: Manifest) -> list[Group]:
    """Titles with their (name, value) pairs; a page escapes them."""
    groups: list[Group] = []
    if isinstance(results, Results):
        groups.append(("Real images", _source(results.data, results.n_real)))
        groups.append(("Generated images", _source(results.generated, results.n_generated)))
    else:
        photos = len({record.image for record in results.inversions})
        groups.append(("Photos", _source(results.data, photos)))
    if results.generator is not None:
        groups.append(("Generator", _model(results.generator)))
    if results.segmenter is not None:
        groups.append(("Segmenter", _model(results.segmenter)))
    if isinstance(results, Results):
        groups.append(("Statistics", _statistics(results)))
    run = [("seeingkit", manifest.seeingkit), ("started", manifest.started)]
    run.append(("finished", manifest.finished or "not recorded"))
    groups.append(("Run", run))
    groups.append(("Options", [(key, plain_text(v)) for key, v in manifest.config.items()]))
    groups.append(("Versions", list(manifest.versions.items())))
    groups.append(("Hashes", list(manifest.hashes.items())))
    timings = [(key, duration(seconds)) for key, seconds in manifest.timings.items()]
    groups.append(("Time taken", timings))
    return [(title, entries) for title, entries in groups if entries]


def _statistics(results: Results) -> list[tuple[str, str]]:
    fsd = results.fsd
    entries = [
        ("false discovery rate", f"{results.level:g}"),
        ("permutations", f"{fsd.permutations:,}"),
        ("floor measured on halves of", plain_text(fsd.floor_halves)),
    ]
    if fsd.ci_high is not None:
        entries.append(("interval of the FSD", f"{fsd.confidence:g}"))
    if fsd.standard_error is not None:
        entries.append(("its standard error", f"{number(fsd.standard_error)} percent²"))
    if results.power is not None:
        entries.append(("classes tested", f"{results.power.classes_tested:,}"))
        entries.append(("p needed by one class alone", probability(results.power.threshold)))
    if results.pairs is not None:
        entries.append(("pairs tested", f"{results.pairs.tested:,}"))
    if results.scenes is not None:
        entries.append(("neighbours of a scene", f"{results.scenes.k:,}"))
    if results.segmenter_share is not None:
        check = results.segmenter_share
        entries.append(("segmenter checked", f"{against(results)}, {count(check.images, 'image')}"))
    preset = [(f"preset: {key}", plain_text(value)) for key, value in results.preset.items()]
    return entries + preset


def _source(source: SourceRecord, used: int) -> list[tuple[str, str]]:
    return [
        ("name", source.name),
        ("kind", source.kind),
        ("used / available", f"{used:,} / {source.images:,}"),
        ("seed", plain_text(source.seed)),
        ("fingerprint", source.fingerprint),
        *((key, plain_text(value)) for key, value in source.details.items()),
    ]


def _model(model: ModelRecord) -> list[tuple[str, str]]:
    return [
        ("name", model.name),
        ("family", model.family),
        ("parameters", f"{model.parameters:,}"),
        ("resolution", f"{model.resolution} px" if model.resolution else "any"),
        ("weights SHA-256", model.weights_sha256 or "none"),
        ("licence", model.licence),
        *((f"option: {key}", plain_text(value)) for key, value in model.options.items()),
    ]
