"""The cuts of a run by name, and the methods prepared at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seeingkit.contracts import Generator, Inverter, Prepared
from seeingkit.errors import PluginError, UsageError

from . import ResolvedInverter
from .config import InversionConfig

DEFAULT_CUTS = ("default", "next")
"""Two, for what cannot be drawn depends most on the cut."""


def cuts_of(generator: Generator, config: InversionConfig) -> list[str]:
    """Canonical names of the cuts asked for, ``DEFAULT_CUTS`` if none is.

    ``default`` is the generator's own cut, ``next`` the end of the resolution after it (nothing
    where there is none), ``all`` every feature map between the ends.

    Raises:
        UnknownNameError: a cut that does not exist; lists those that do.
    """
    if "all" in config.cuts:
        inner = [b.name for b in generator.boundaries[1:-1] if b.kind == "feature"]
        return inner or [b.name for b in generator.boundaries[1:-1]]
    words = {"default": [generator.default_cut], "next": _next_resolution(generator)}
    names = [name for cut in config.cuts or DEFAULT_CUTS for name in words.get(cut, [cut])]
    found = list(dict.fromkeys(generator.boundary(name).name for name in names))
    if not found:
        raise UsageError(
            f"--cut next: {generator.info.family} has no resolution after its default cut, "
            f"{generator.default_cut}"
        )
    return found


def _next_resolution(generator: Generator) -> list[str]:
    """The last boundary of the resolution after that of the default cut, if there is one."""
    first = generator.boundary(generator.default_cut).index
    later = [b for b in generator.boundaries[first:-1] if b.extent is not None]
    sizes = sorted({b.extent for b in later if b.extent is not None})
    return [b.name for b in later if len(sizes) > 1 and b.extent == sizes[1]][-1:]


def methods_at(
    generator: Generator, inverters: Sequence[ResolvedInverter], config: InversionConfig
) -> list[tuple[str, ResolvedInverter]]:
    """Each cut with each method that is to run there, cut by cut.

    Only a method that optimises r finds other images at another cut, so unless cuts were asked for
    the other methods run at the first alone.
    """
    first, *later = cuts_of(generator, config)
    found = [(first, one) for one in inverters]
    for cut in later:
        found += [(cut, one) for one in inverters if config.cuts or one.load(cut).target == "r"]
    return found


@dataclass(frozen=True, eq=False)
class PreparedMethod:
    """A method at one cut, prepared for a generator."""

    inverter: Inverter
    prepared: Prepared


def prepare_first_cut(
    generator: Generator, inverters: Sequence[ResolvedInverter], config: InversionConfig
) -> dict[tuple[str, str], PreparedMethod]:
    """Prepare every method at the first cut, so that errors come before any long work.

    Those at further cuts are prepared in their turn, for each holds networks of its own.

    Returns:
        by (method, cut).

    Raises:
        UnknownNameError, UsageError, WeightsError: of ``cuts_of`` and ``Inverter.prepare``.
    """
    cut = cuts_of(generator, config)[0]
    return {(one.spec.name, cut): prepare(generator, one, cut) for one in inverters}


def prepare(generator: Generator, resolved: ResolvedInverter, cut: str) -> PreparedMethod:
    """One method at one cut, prepared; ``PluginError`` where it gives no ``Prepared``."""
    inverter = resolved.load(cut)
    prepared = inverter.prepare(generator)
    if not isinstance(prepared, Prepared):
        raise PluginError(
            f"{resolved.spec.name}: prepare() gave a {type(prepared).__name__}; it must give a "
            "seeingkit.contracts.Prepared"
        )
    return PreparedMethod(inverter, prepared)
