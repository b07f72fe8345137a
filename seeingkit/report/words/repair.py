"""Whether edits bring missing classes back, as sentences."""

from __future__ import annotations

from seeingkit.results.repairs import RepairedClass, RepairResult, SiteRecord

from .numbers import area, between, count, listing, number, share

OFTEN, RARELY = 5.0, 0.25
"""Share of places with keys of the class, over the share that it covers in real images."""


def repair_sentence(one: RepairedClass) -> str:
    """The answer for a class: is it back?

    ``repair_sentence(result.classes[0])``
    """
    shown, tried = one.objects, next(each for each in one.trials if each.chosen)
    site = tried.reach.site
    beside = ""
    if shown.beside is not None:
        beside = f", {share(shown.beside)} with an equally large edit of places beside"
    seen = (
        f"{share(shown.after)} of the images show an object of it with the edit, "
        f"{share(shown.before)} without{beside}; of real images {share(shown.real)} do."
    )
    if one.verdict == "back":
        return f"{one.label} is drawn again with an edit of {site}: {seen}"
    if one.verdict == "partly":
        return f"An edit of {site} draws more of {one.label}, but does not bring it back: {seen}"
    sites = [each.site for each in one.sites]
    where = site if len(sites) == 1 else f"one of {listing(sites)}"
    return f"No edit of {where} that was tried brings {one.label} back. With that of {site}, {seen}"


def reach_sentence(one: RepairedClass) -> str:
    """How much an edit could give, known before any image of it.

    ``reach_sentence(result.classes[0])``
    """
    best = one.sites[0]
    reach = best.best
    control = ""
    if reach.control is not None:
        control = f" (of places beside it: {share(max(0.0, reach.control))})"
    net = (
        ", and changes more than that at places that are to stay"
        if reach.net <= 0
        else f"; {share(reach.net)} once the change at places that are to stay is taken off"
    )
    return (
        f"Before any image was made: an edit of rank {reach.rank} at {best.site} gives "
        f"{share(max(0.0, reach.apart))} of the values that {one.label} needs, in photos that it "
        f"was not planned with{control}{net}. {keys_sentence(one, best)}"
    )


def keys_sentence(one: RepairedClass, site: SiteRecord) -> str:
    """Whether the generator's own images have such keys.

    ``keys_sentence(one, one.sites[0])``
    """
    if site.keys_in_samples is None:
        return "The photos have no places outside of it to compare keys with."
    drawn = f"{share(site.keys_in_samples)} of the places of generated images have keys like its"
    covers = f"{one.label} covers {area(one.real_area)} of real images"
    times = 100 * site.keys_in_samples / max(one.real_area, 1e-9)
    if times > OFTEN:
        return f"{drawn} places, where {covers}: keys do not say where {one.label} is to be."
    if times < RARELY:
        return f"Only {drawn} places, where {covers}: the layers in front do not ask for it."
    return f"{drawn} places, where {covers}."


def price_sentence(one: RepairedClass) -> str:
    """What else the edit changes.

    ``price_sentence(result.classes[0])``
    """
    distance = one.distance
    words = {
        "nearer": "the images are surely nearer to the real ones",
        "farther": "the images are surely farther from the real ones",
        "no evidence": "no change of the distance is shown",
    }[distance.direction]
    return (
        f"Its price: the class of {share(one.moved)} of the pixels changes; FSD "
        f"{number(distance.before)} → {number(distance.after)} ({words}, difference "
        f"{between((distance.low, distance.high), number)})."
    )


def repair_summary(found: RepairResult) -> str:
    """One sentence on all classes.

    >>> repair_summary(RepairResult(n=500, seed=0, searched=100, search_seed=0, view="at 0.5",
    ...     level=0.05, moved=0.1))
    'No class was tried.'
    """
    if not found.classes:
        return "No class was tried."
    back = [one.label for one in found.classes if one.verdict == "back"]
    partly = [one.label for one in found.classes if one.verdict == "partly"]
    left = [one.label for one in found.classes if one.verdict == "no"]
    parts = []
    if back:
        parts.append(f"drawn again: {listing(back)}")
    if partly:
        parts.append(f"more often drawn, but not back: {listing(partly)}")
    if left:
        parts.append(f"not brought back: {listing(left)}")
    tried = count(len(found.classes), "missing class", "missing classes")
    return f"One layer was edited for {tried}; {'; '.join(parts)}."
