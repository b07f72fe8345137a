"""Which segmenter: what a registered one is for, and the answer to those who named none.

Nothing here imports torch.
"""

from __future__ import annotations

from seeingkit.specs import WeightsSpec

from .hub.consent import readable_size
from .registry import Registry, registry


def for_its_data_alone(weights: WeightsSpec) -> bool:
    """Whether weights ship with a data set, so that they know the classes of nothing else."""
    return bool(weights.domains) and all(file.resource for file in weights.files)


def which_segmenter(known: Registry | None = None) -> str:
    """The answer to own images without a segmenter: those there are, the default family first.

    Segmenters that ship with a data set are named as what they are: for nothing else.
    """
    known = known or registry()
    usual = known.default("segmenter")
    every = [w for s in known.specs("segmenter") for w in known.weights_for(s.name)]
    general = [w for w in every if not for_its_data_alone(w)]
    own = [w for w in every if for_its_data_alone(w)]
    first = [w for w in general if w.family == usual] or general[:1]
    others = [w for w in general if w not in first]
    free = [s.name for s in known.specs("segmenter") if not known.weights_for(s.name)]
    said = ["which segmenter? Own images have no default, for it must know the classes in them"]
    named = [_described(weights) for weights in (*first, *others[:1])]
    if named:
        more = f", {len(others) - 1} more of its kind" if len(others) > 1 else ""
        said.append(f"published ones: --segmenter {' or '.join(named)}{more}")
    if free:
        said.append(f"with --segmenter-weights FILE or FOLDER of your own: {', '.join(free)}")
    said += [f"{weights.full_name} knows {weights.domains[0]} alone" for weights in own]
    return "; ".join([*said, "see 'seeingkit ls segmenters'"])


def _described(weights: WeightsSpec) -> str:
    """Name, summary and size of the download."""
    sizes = [file.size for file in weights.files]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    return f"{weights.full_name} ({weights.summary}; download: {readable_size(total)})"
