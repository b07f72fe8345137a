"""Commands that list: ``ls``, ``plugins``, ``doctor``.

They load no model; only ``doctor`` imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seeingkit.errors import ExitCode

from .options import Device, Json
from .output import print_json, print_listing, print_table, say
from .pages import one_of

_KINDS = {
    "gans": "gan",
    "segmenters": "segmenter",
    "annotators": "annotator",
    "features": "features",
    "encoders": "encoder",
    "data": "data",
    "inverters": "inverter",
    "metrics": "metric",
    "executors": "executor",
    "trackers": "tracker",
    "weights": "weights",
}
"""Groups that ``ls`` can list, and the kind of their specs."""

_GROUPS = {
    "models": "gans",
    "model": "gans",
    "generators": "gans",
    "generator": "gans",
    "networks": "gans",
    "gan": "gans",
    "datasets": "data",
    "dataset": "data",
    "checkpoints": "weights",
    "methods": "inverters",
    "encoder": "encoders",
    "classifiers": "annotators",
}
"""Other words for them."""

Group = Annotated[str, typer.Argument(metavar="GROUP", help=f"One of {', '.join(_KINDS)}.")]


def ls(kind: Group = "", json: Json = False) -> int:
    """List registered models, encoders, data sets, methods, metrics, trackers and weights."""
    from seeingkit.models.registry import registry

    if not kind:
        rows = [(name, len(registry().specs(one))) for name, one in _KINDS.items()]  # type: ignore[arg-type]
        if json:
            print_json(dict(rows))
        else:
            named = [(name, str(many), f"seeingkit ls {name}") for name, many in rows]
            print_table(named, ("group", "registered", "list"), last_words=True)
        return 0
    kind = one_of("group", kind, list(_KINDS), _GROUPS)
    specs = registry().specs(_KINDS[kind])  # type: ignore[arg-type]
    records = [_spec_record(spec) for spec in specs]
    if json:
        print_json(records)
    else:
        _print_specs(records)
        if not records:
            say(f"no {kind} are registered")
    return 0


def _print_specs(records: list[dict[str, Any]]) -> None:
    """Names, summaries and options; those that several have alike come once, at the end."""
    shared: dict[str, list[str]] = {}
    for record in records:
        names = ", ".join([record["name"], *record["aliases"]])
        terms = ", ".join(record["families"]) if "families" in record else record["licence"]
        say(names)
        say(f"    {record['summary']} ({terms})")
        lines = [
            f"    {k} = {v['default']!r}: {v['description']}" for k, v in record["options"].items()
        ]
        if lines and sum(other["options"] == record["options"] for other in records) > 1:
            shared.setdefault("\n".join(lines), []).append(record["name"])
        elif lines:
            for line in lines:
                say(line)
    for options, names_of in shared.items():
        say(f"options of {', '.join(names_of)}")
        for line in options.split("\n"):
            say(line)


def _spec_record(spec: Any) -> dict[str, Any]:
    """The fields of a spec, its full name, and its options with default and description."""
    from seeingkit.specs import _Loadable

    record: dict[str, Any] = spec.model_dump(mode="json", exclude={"options"})
    record["name"] = getattr(spec, "full_name", spec.name)
    record["options"] = {}
    if isinstance(spec, _Loadable):
        for name, field in spec.options.model_fields.items():
            required = field.is_required()
            default = None if required else field.get_default(call_default_factory=True)
            record["options"][name] = {"default": default, "description": field.description or ""}
    return record


def plugins(json: Json = False) -> int:
    """List plugins, their state and the reason of a failure."""
    from seeingkit.models.registry import registry

    def row(record: dict[str, Any]) -> tuple[str, ...]:
        distribution = f"{record['distribution']} {record['version']}".strip()
        registers = record["reason"] or f"{len(record['registers'])} registered"
        return record["name"], record["status"], distribution, registers

    records = [vars(record) for record in registry().plugins]
    print_listing(json, records, ("plugin", "status", "distribution", "registers"), row)
    return 0


Bench = Annotated[
    bool,
    typer.Option("--bench", help="Measure instead how fast this machine does each stage."),
]


def doctor(bench: Bench = False, device: Device = "auto", json: Json = False) -> int:
    """Check versions, devices, plugins, embedded weights and cache; or measure rates."""
    if bench:
        return _rates(device, json)
    from .doctor import examine

    def row(check: dict[str, Any]) -> tuple[str, ...]:
        return check["name"], "ok" if check["ok"] else "problem", check["found"]

    checks = examine()
    print_listing(json, [vars(check) for check in checks], ("check", "state", "found"), row)
    return ExitCode.DONE if all(check.ok for check in checks) else ExitCode.FAILED


def _rates(device: str, json: bool) -> int:
    from .rates import measure

    def row(rate: dict[str, Any]) -> tuple[str, ...]:
        return rate["stage"], f"{rate['rate']:,.{0 if rate['rate'] >= 100 else 1}f}", rate["unit"]

    print_listing(json, [vars(rate) for rate in measure(device)], ("stage", "rate", ""), row)
    return ExitCode.DONE
