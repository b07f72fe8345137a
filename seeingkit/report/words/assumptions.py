"""What the loaders of a run's models assumed, in words."""

from __future__ import annotations

from collections.abc import Iterable

from seeingkit.results import ModelRecord


def assumed(models: Iterable[ModelRecord | None]) -> list[str]:
    """A sentence for each model of which anything was assumed.

    >>> model = ModelRecord(name="dcgan", family="dcgan", assumptions=("activation relu",))
    >>> assumed([model, None])
    ['The weights file of dcgan does not say, and it is assumed: activation relu.']
    """
    return [
        f"The weights file of {model.name} does not say, and it is assumed: "
        f"{'; '.join(model.assumptions)}."
        for model in models
        if model is not None and model.assumptions
    ]
