"""Turns features of two sets of images into metrics, by the functions of torch-fidelity.

Guarantees: nothing here computes a metric; a metric that needs more images is left out, with a note
that gives the reason; no value is NaN.

Sources: FID (Heusel et al. 2017), KID (Bińkowski et al. 2018), IS (Salimans et al. 2016), precision
and recall (Kynkäänniemi et al. 2019).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from seeingkit.errors import ModelError, TallyError

from .catalog import FidelityOptions
from .library import NAME

_PLAIN = {
    "frechet_inception_distance": "fid",
    "kernel_inception_distance_mean": "kid_mean",
    "kernel_inception_distance_std": "kid_std",
    "inception_score_mean": "is_mean",
    "inception_score_std": "is_std",
    "precision": "precision",
    "recall": "recall",
    "f_score": "f_score",
}
_ROWS = 2500  # distances of so many images at once: 0.5 GB at 50,000 images; changes no number


@dataclass
class Numbers:
    """Metrics with their settings and notes.

    Attributes:
        seed: of the library's random subsets.
        values: metrics by plain name; all finite once ``check`` has passed.
        settings: the settings in use, by option.
        notes: a sentence for each metric that was left out or computed with other settings.
    """

    seed: int
    values: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self, metric: str, options: FidelityOptions, real: Tensor | None, generated: Tensor
    ) -> None:
        """Compute one metric.

        Args:
            metric: ``fid``, ``kid``, ``is`` or ``prc``.
            options: of the metrics.
            real, generated: (N, D) and (M, D) features; logits for ``is``, which sees no real ones.

        Raises:
            ModelError: the library could not compute it.
        """
        if metric == "is":
            found = self._inception_score(options, generated)
        else:
            assert real is not None
            compute = {"fid": self._fid, "kid": self._kid, "prc": self._precision}[metric]
            found = compute(options, real, generated)
        self.values |= {_PLAIN[name]: float(value) for name, value in found.items()}

    def check(self) -> None:
        """Refuse an empty result, NaN and Inf.

        Raises:
            TallyError: no metric could be computed.
            ModelError: NaN or Inf.
        """
        if not self.values:
            raise TallyError(f"too few images for any metric: {'; '.join(self.notes)}")
        wrong = [name for name, value in self.values.items() if not np.isfinite(value)]
        if wrong:
            raise ModelError(f"torch-fidelity gave NaN or Inf for {', '.join(wrong)}")

    def _fid(self, _: FidelityOptions, real: Tensor, generated: Tensor) -> dict[str, float]:
        n, size = min(len(real), len(generated)), real.shape[1]
        if n < 2:
            self.notes.append("no FID: it needs 2 images a side")
            return {}
        if n <= size:
            self.notes.append(
                f"FID: {n} images are not more than the {size} features, so the covariances are "
                "singular and the value is mostly bias"
            )
        made, seen = (_call("fid", "fid_features_to_statistics", x) for x in (generated, real))
        return _numbers("fid", "fid_statistics_to_metric", made, seen, False)

    def _kid(self, options: FidelityOptions, real: Tensor, generated: Tensor) -> dict[str, float]:
        n = min(len(real), len(generated))
        if n < 2:
            self.notes.append("no KID: it needs 2 images a side")
            return {}
        size = min(options.kid_subset_size, n)
        whole = size == len(real) == len(generated)  # then every subset is the same one
        about = {"kid_subset_size": size, "kid_subsets": 1 if whole else options.kid_subsets}
        self.settings |= about
        if whole:
            self.notes.append(f"KID: one subset of all {n} images, so there is no deviation")
        elif size < options.kid_subset_size:
            self.notes.append(f"KID: subsets of {size} images, all that one side has")
        about |= {"rng_seed": self.seed, "verbose": False}
        found = _numbers("kid", "kid_features_to_metric", generated, real, **about)
        if about["kid_subsets"] == 1:
            found.pop("kernel_inception_distance_std", None)
        return found

    def _precision(
        self, options: FidelityOptions, real: Tensor, generated: Tensor
    ) -> dict[str, float]:
        k = options.prc_neighbours
        self.settings["prc_neighbours"] = k
        if min(len(real), len(generated)) < k + 1:
            self.notes.append(f"no precision and recall: {k} neighbours need {k + 1} images a side")
            return {}
        about = {"prc_neighborhood": k, "prc_batch_size": _ROWS, "save_cpu_ram": True}
        return _numbers("prc", "prc_features_to_metric", generated, real, **about, verbose=False)

    def _inception_score(self, options: FidelityOptions, logits: Tensor) -> dict[str, float]:
        splits = options.is_splits
        self.settings["is_splits"] = splits
        if len(logits) < 2 * splits:
            self.notes.append(
                f"no Inception Score: {splits} parts of at least 2 need {2 * splits} images"
            )
            return {}
        return _numbers("isc", "isc_features_to_metric", logits, splits, True, self.seed)


def _call(metric: str, name: str, *values: Any, **settings: Any) -> Any:
    """Call a function of the library; its errors become ``ModelError``."""
    try:
        return getattr(importlib.import_module(f"{NAME}.metric_{metric}"), name)(
            *values, **settings
        )
    except (RuntimeError, ValueError, AssertionError, AttributeError, TypeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"torch-fidelity: {name} failed: {first}") from error


def _numbers(metric: str, name: str, *values: Any, **settings: Any) -> dict[str, float]:
    """``_call`` for functions that return numbers by the library's names."""
    return dict(_call(metric, name, *values, **settings))
