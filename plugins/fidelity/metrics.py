"""FID, KID, Inception Score, precision and recall of two image sources, by torch-fidelity.

Guarantees: the library's network gets the 8-bit images of the comparison and resizes them itself;
the library's functions turn features into numbers (``numbers``). Images that cannot be read are
left out. ``options["notes"]`` of the result lists omissions and cautions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seeingkit.contracts import ImageSource
from seeingkit.results import FidelityResult
from seeingkit.specs import Options
from seeingkit.system.cache import file_sha256

from .catalog import INCEPTION as PUBLISHED
from .catalog import FidelityOptions
from .features import Features, Reader
from .library import INCEPTION, build_extractor, extractor_class, library
from .numbers import Numbers

USUAL = 10_000
"""Number of images below which FID must not be compared with published values."""

_IN_LIBRARY = {"fid": "fid", "kid": "kid", "is": "isc", "prc": "prc"}


def load(weights: Path | None, options: Options) -> TorchFidelity:
    """The metric ``fidelity`` with a file of Inception weights; reads the file.

    Raises:
        PluginError: the library is not installed.
        WeightsError: as ``build_extractor``.
    """
    assert isinstance(options, FidelityOptions)
    return TorchFidelity(INCEPTION, weights, options)


@dataclass
class TorchFidelity:
    """The library's metrics with one of its feature extractors; a ``Metric``.

    One line of use: ``TorchFidelity(weights=path)(real, generated).values["fid"]``.

    Args:
        extractor: Inception, or one that was given to ``torch_fidelity.register_feature_extractor``
            (its default layers are used).
        weights: its file; Inception always has one, so that the library never fetches its own.
        options: which metrics, and their settings.

    Raises:
        PluginError, UnknownNameError, WeightsError: as ``build_extractor``.
    """

    extractor: str = INCEPTION
    weights: Path | None = None
    options: FidelityOptions = field(default_factory=FidelityOptions)

    def __post_init__(self) -> None:
        kind = extractor_class(self.extractor)
        self.layers: dict[str, str] = {
            metric: kind.get_default_feature_layer_for_metric(_IN_LIBRARY[metric])
            for metric in self.options.metrics
        }
        wanted = list(dict.fromkeys(self.layers.values()))
        self.network = build_extractor(self.extractor, wanted, self.weights)
        self.sha256 = None if self.weights is None else file_sha256(self.weights)

    def __call__(
        self,
        real: ImageSource,
        generated: ImageSource,
        *,
        device: str = "cpu",
        batch_size: int = 16,
        seed: int = 0,
    ) -> FidelityResult:
        """Measure: as ``seeingkit.analyses.comparison.checks.metrics.measure``."""
        # The Inception Score does not use real images, so its layer is kept for one side only.
        compared = {layer for metric, layer in self.layers.items() if metric != "is"}
        reader = Reader(self.network.to(device), batch_size)
        try:
            known = reader.read(real, compared, "features of real images")
            made = reader.read(generated, set(self.layers.values()), "features of generated images")
        finally:
            self.network.to("cpu")
        numbers = Numbers(seed % 2**32)  # numpy's range
        for metric, layer in self.layers.items():
            numbers.add(metric, self.options, known.layers.get(layer), made.layers[layer])
        numbers.check()
        return FidelityResult(
            library=f"torch-fidelity {library().__version__}",
            features="Inception of 2015-12-05" if self.extractor == INCEPTION else self.extractor,
            n_real=known.n,
            n_generated=made.n,
            values=numbers.values,
            options={
                "seed": seed,
                **numbers.settings,
                **self._identity(),
                "notes": [*numbers.notes, *self._about_images(known, made), *self._about_network()],
            },
        )

    def _identity(self) -> dict[str, Any]:
        about: dict[str, Any] = {
            "extractor": self.extractor,
            "layers": dict(self.layers),
            "images": "8 bits, after the preset; resized to the network's input by the library",
        }
        if self.weights is not None:
            about |= {"weights": self.weights.name, "weights_sha256": self.sha256}
        return about

    def _about_images(self, real: Features, generated: Features) -> list[str]:
        notes: list[str] = []
        n = min(real.n, generated.n)
        if "fid" in self.layers and n < USUAL:
            notes.append(
                f"FID is biased upwards by few images (here {n}): compare it only with values at "
                "the same n; published ones usually have 50,000"
            )
        if real.n != generated.n:
            notes.append(f"the sides differ: {real.n} real, {generated.n} generated images")
        if real.unread or generated.unread:
            notes.append(
                f"left out because they cannot be read: {real.unread} real, "
                f"{generated.unread} generated images"
            )
        return notes

    def _about_network(self) -> list[str]:
        if self.extractor != INCEPTION:
            return []
        notes = [
            "Inception was trained on ImageNet's classes: these numbers measure how similar two "
            "sets look to it, not which classes are missing"
        ]
        if "prc" in self.layers:
            notes.append(
                "precision and recall are of Inception's features; published ones are usually of "
                "VGG-16's"
            )
        if self.sha256 != PUBLISHED.sha256:
            notes.append(
                "the weights are not the published file: the numbers cannot be compared with "
                "published ones"
            )
        return notes
