"""Commands that list: ``ls``, ``plugins``, ``doctor``.

They load no model; only ``doctor`` imports torch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from seeingkit.errors import ExitCode

from .options import Json
from .output import print_json, print_listing, say

Listing = StrEnum(
    "Listing", ["gans", "segmenters", "features", "data", "inverters", "metrics", "weights"]
)
"""Kinds that ``ls`` can list."""
_KINDS = {"gans": "gan", "segmenters": "segmenter", "inverters": "inverter", "metrics": "metric"}


def ls(kind: Listing, json: Json = False) -> int:
    """List registered models, data sets, methods, metrics or weights."""
    from seeingkit.models.registry import registry

    specs = registry().specs(_KINDS.get(kind.value, kind.value))  # type: ignore[arg-type]
    records = [_spec_record(spec) for spec in specs]
    if json:
        print_json(records)
        return 0
    for record in records:
        names = ", ".join([record["name"], *record["aliases"]])
        terms = ", ".join(record["families"]) if "families" in record else record["licence"]
        say(names)
        say(f"    {record['summary']} ({terms})")
        for option, about in record["options"].items():
            say(f"    {option} = {about['default']!r}: {about['description']}")
    if not records:
        say(f"no {kind.value} are registered")
    return 0


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


def doctor(json: Json = False) -> int:
    """Check versions, devices, plugins, embedded weights and cache."""
    from .doctor import examine

    def row(check: dict[str, Any]) -> tuple[str, ...]:
        return check["name"], "ok" if check["ok"] else "problem", check["found"]

    checks = examine()
    print_listing(json, [vars(check) for check in checks], ("check", "state", "found"), row)
    return ExitCode.DONE if all(check.ok for check in checks) else ExitCode.FAILED
