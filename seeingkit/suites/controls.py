"""Controls: sets of real images that stand in a ranking as if a generator had made them."""

from __future__ import annotations

from seeingkit.contracts import ImageSource
from seeingkit.errors import UsageError
from seeingkit.images.selection import Selection, shuffled
from seeingkit.runs.plan import Plan
from seeingkit.runs.sides import open_whole
from seeingkit.tallies.counting import narrowed


def control_source(plan: Plan, number: int) -> ImageSource:
    """The images of control ``number`` (1, 2, …): real ones that no other side of a suite has.

    As the real side is drawn (``tallies.counting.narrowed``), but from the places behind it.

    Raises:
        UsageError: there are not enough.
    """
    n = plan.config.n
    assert n is not None  # a suite states it
    whole = open_whole(plan.real, plan.preset)
    needed, places = (number + 1) * n, range(number * n, (number + 1) * n)
    endless = narrowed(whole, needed, plan.config.seed) if whole.first(needed) is not None else None
    if endless is not None:
        return Selection(endless, places)
    if needed > len(whole):
        whole.close()
        raise UsageError(f"{whole.name}: {len(whole)} images are too few for control {number}")
    return Selection(whole, shuffled(len(whole), plan.config.seed)[places.start : places.stop])
