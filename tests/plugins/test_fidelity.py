"""FID, KID, IS, precision and recall by torch-fidelity: its own arithmetic on a tiny extractor.

The library runs for real. Its Inception file is not needed: a network of nine numbers is registered
with it, and the expected values are in closed form, or computed here by other code.
"""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from seeingkit.analyses.comparison.checks.metrics import measure, resolve_metric
from seeingkit.contracts import ImageSource
from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    ModelError,
    PluginError,
    SourceError,
    StateMismatchError,
    TallyError,
    UnknownNameError,
    UnsafeFileError,
    UsageError,
)
from seeingkit.models.registry import PluginRecord, Registry
from seeingkit.results import FidelityResult
from seeingkit.specs import MetricSpec
from seeingkit.statistics.frechet import fsd_of_rows
from seeingkit_plugins.fidelity import catalog
from seeingkit_plugins.fidelity.catalog import FidelityOptions
from tests.helpers.plugins import registry_of
from tests.helpers.toys import CountedNoise, Noise

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("torch_fidelity") is None,
    reason="torch-fidelity is not installed (pip install --no-deps torch-fidelity)",
)

TOY = "seeingkit-test-colours"
FEW = FidelityOptions(is_splits=1)


@pytest.fixture(scope="module")
def toy() -> str:
    """An extractor of the library: mean red, green, blue, and logits that name the colour."""
    from seeingkit_plugins.fidelity.library import library

    fidelity = library()

    class Colours(fidelity.FeatureExtractorBase):  # type: ignore[name-defined, misc]
        def __init__(self, name: str, features_list: list[str], **_: object) -> None:
            super().__init__(name, features_list)
            self.scale = nn.Parameter(torch.tensor(1.0))

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return "colour", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "colour"

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            assert images.dtype == torch.uint8
            assert images.shape[1] == 3
            colour = images.float().mean(dim=(2, 3)) * self.scale
            logits = torch.where(colour == colour.amax(1, keepdim=True), 60.0, 0.0)
            found = {"colour": colour, "logits": logits}
            return tuple(found[name] for name in self.features_list)

    if TOY not in sys.modules["torch_fidelity.registry"].FEATURE_EXTRACTORS_REGISTRY:
        fidelity.register_feature_extractor(TOY, Colours)
    return TOY


class Plain(ImageSource):
    """Images of one colour each: (N, 3) levels of 0 to 255."""

    def __init__(self, levels: NDArray[Any], name: str = "plain") -> None:
        self.levels = torch.from_numpy(np.asarray(levels, np.uint8))
        self.name, self.fingerprint = name, name
        self.ids = [f"{name}-{k}" for k in range(len(levels))]

    def read(self, indices: Sequence[int]) -> Tensor:
        rows = self.levels[list(indices)].float().div(255).sub(0.5).div(0.5)
        return rows[:, :, None, None].expand(-1, -1, 4, 4).contiguous()


class Pictures(Dataset[Tensor]):
    """The same images as the library itself takes them."""

    def __init__(self, source: Plain) -> None:
        self.levels = source.levels

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, k: int) -> Tensor:
        return self.levels[k][:, None, None].expand(-1, 4, 4).contiguous()


def measured(
    real: ImageSource, generated: ImageSource, options: FidelityOptions = FEW, **about: Any
) -> FidelityResult:
    from seeingkit_plugins.fidelity.metrics import TorchFidelity

    return TorchFidelity(TOY, None, options)(real, generated, **about)


def levels(n: int, seed: int, centre: float = 120, spread: float = 25) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, 3)) @ np.array([[1, 0.4, 0], [0, 1, -0.3], [0, 0, 1]])
    return np.clip(np.rint(mixed * spread + centre), 0, 255)


def factorial(centre: Sequence[float], half: Sequence[float]) -> NDArray[Any]:
    """All eight corners of a box: mean ``centre``, covariance diag(half²) · 8/7 (ddof 1)."""
    corners = np.array(list(itertools.product((-1, 1), repeat=3)))
    return np.asarray(centre) + corners * np.asarray(half)


# -------------------------------------------------------------------------------- the arithmetic


@needs_library
def test_fid_of_boxes_is_the_closed_form(toy: str) -> None:
    first, second = factorial((100, 90, 80), (8, 4, 2)), factorial((103, 94, 80), (2, 4, 6))
    found = measured(Plain(first), Plain(second)).values["fid"]
    deviations = np.sqrt(8 / 7) * (np.array([8, 4, 2]) - np.array([2, 4, 6]))
    assert found == pytest.approx(3**2 + 4**2 + (deviations**2).sum(), rel=1e-5)


@needs_library
def test_fid_is_our_frechet_distance_of_the_same_features(toy: str) -> None:
    first, second = levels(400, 1), levels(300, 2, centre=126, spread=20)
    found = measured(Plain(first), Plain(second))
    assert found.values["fid"] == pytest.approx(fsd_of_rows(first, second).value, rel=1e-5)
    assert (found.n_real, found.n_generated) == (400, 300)
    assert any("400 real, 300 generated" in note for note in found.options["notes"])


@needs_library
def test_kid_is_the_unbiased_discrepancy_of_the_cubic_kernel(toy: str) -> None:
    first, second = levels(40, 3), levels(40, 4, centre=128)

    def kernel(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((a @ b.T / 3 + 1) ** 3)

    own = 0.0
    for rows in (first, second):
        table = kernel(rows, rows)
        own += (table.sum() - np.trace(table)) / (40 * 39)
    expected = own - 2 * kernel(first, second).mean()
    found = measured(Plain(first), Plain(second))
    assert found.values["kid_mean"] == pytest.approx(expected, rel=1e-4)
    assert "kid_std" not in found.values
    assert found.options["kid_subset_size"] == 40


@needs_library
def test_kid_takes_the_subsets_that_were_asked_for(toy: str) -> None:
    options = FidelityOptions(metrics=("kid",), kid_subset_size=20, kid_subsets=30)
    sides = Plain(levels(60, 3)), Plain(levels(50, 4))
    found, again = measured(*sides, options, seed=5), measured(*sides, options, seed=5)
    other = measured(*sides, options, seed=6)
    assert found.values["kid_std"] > 0
    assert found == again
    assert found.values != other.values
    assert found.options["kid_subsets"] == 30


@needs_library
def test_inception_score_is_the_number_of_equally_frequent_classes(toy: str) -> None:
    colours = np.repeat([[200, 0, 0], [0, 200, 0], [0, 0, 200]], 8, axis=0)
    found = measured(Plain(levels(24, 1)), Plain(colours), FidelityOptions(metrics=("is",)))
    assert 1 < found.values["is_mean"] < 3  # ten parts, each with few images
    whole = measured(Plain(levels(24, 1)), Plain(colours))
    assert whole.values["is_mean"] == pytest.approx(3, rel=1e-6)
    one = measured(Plain(levels(24, 1)), Plain(colours[:8]))
    assert one.values["is_mean"] == pytest.approx(1, rel=1e-6)


@needs_library
def test_precision_and_recall_count_the_images_that_are_among_the_others(toy: str) -> None:
    real = np.array([[k, k, k] for k in range(0, 40, 2)])
    far = real[:10] + 200
    generated = np.concatenate([real[:10], far])
    found = measured(Plain(real), Plain(generated)).values
    # Half are real images, half are nowhere near; these reach the first 10 and those 6 on.
    assert found["precision"] == 0.5
    assert 0.5 <= found["recall"] < 0.9
    p, r = found["precision"], found["recall"]
    assert found["f_score"] == pytest.approx(2 * p * r / (p + r))
    apart = measured(Plain(real), Plain(real + 200)).values
    assert (apart["precision"], apart["recall"], apart["f_score"]) == (0, 0, 0)
    # Generated images all in one place: all are likely, and little is reached.
    narrow = measured(Plain(real), Plain(np.repeat(real[:1], 20, axis=0))).values
    assert narrow["precision"] == 1
    assert narrow["recall"] == pytest.approx(1 / 20)


@needs_library
def test_identical_sets_are_no_distance_apart(toy: str) -> None:
    rows = levels(120, 7)
    found = measured(Plain(rows), Plain(rows)).values
    assert found["fid"] == pytest.approx(0, abs=1e-3)  # of a total variance of 2,000
    assert found["kid_mean"] <= 0  # unbiased: an image and its own copy are not left out
    assert found["precision"] == found["recall"] == 1


@needs_library
def test_values_are_those_of_the_library_called_by_itself(toy: str) -> None:
    from seeingkit_plugins.fidelity.library import library

    real, generated = Plain(levels(90, 8)), Plain(levels(90, 9, spread=30))
    options = FidelityOptions(kid_subset_size=50, kid_subsets=20)
    found = measured(real, generated, options, seed=11, batch_size=7)
    whole = library().calculate_metrics(
        input1=Pictures(generated),
        input2=Pictures(real),
        feature_extractor=toy,
        **dict.fromkeys(("fid", "kid", "isc", "prc"), True),
        kid_subset_size=50,
        kid_subsets=20,
        rng_seed=11,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    assert sorted(found.values.values()) == pytest.approx(sorted(whole.values()), rel=1e-6)
    assert found.values["precision"] == whole["precision"]
    assert found.values["fid"] == pytest.approx(whole["frechet_inception_distance"], rel=1e-9)


# ------------------------------------------------------------------------------------- the images


@needs_library
def test_unreadable_images_are_left_out_and_counted(toy: str) -> None:
    broken, whole = Noise(30, bad=(0, 3, 4, 5, 29)), Noise(30)
    kept = [k for k in range(30) if k not in broken.bad]

    class Kept(Noise):
        def __init__(self) -> None:
            super().__init__(len(kept))

        def read(self, indices: Sequence[int]) -> Tensor:
            return whole.read([kept[k] for k in indices])

    found = measured(whole, broken, batch_size=4)
    assert (found.n_real, found.n_generated) == (30, 25)
    assert found.values == measured(whole, Kept(), batch_size=4).values
    assert any("0 real, 5 generated" in note for note in found.options["notes"])


@needs_library
def test_values_do_not_depend_on_the_batch(toy: str) -> None:
    first, second = Noise(24), Noise(20, name="other")
    one, all_at_once = (measured(first, second, batch_size=b).values for b in (1, 24))
    assert one == pytest.approx(all_at_once, rel=1e-6)


@needs_library
def test_memory_that_runs_out_halves_the_batch(toy: str) -> None:
    from seeingkit_plugins.fidelity.features import Reader
    from seeingkit_plugins.fidelity.library import build_extractor

    built = build_extractor(toy, ["colour"], None)

    class Tight(nn.Module):
        room, largest = 3, 0

        def forward(self, images: Tensor) -> Any:
            if len(images) > self.room:
                raise torch.OutOfMemoryError("too many")
            self.largest = max(self.largest, len(images))
            return built(images)

        def convert_features_tuple_to_dict(self, found: Any) -> Any:
            return built.convert_features_tuple_to_dict(found)

    tight = Tight()
    rows = levels(21, 1)
    seen = Reader(tight, 16).read(Plain(rows), ["colour"], "test")
    assert torch.equal(seen.layers["colour"], torch.from_numpy(rows).float())
    assert tight.largest <= 3
    tight.room = 0
    with pytest.raises(ModelError, match="single image"):
        Reader(tight, 16).read(Plain(rows), ["colour"], "test")


@needs_library
def test_features_without_a_value_are_named(toy: str) -> None:
    from seeingkit_plugins.fidelity.metrics import TorchFidelity

    metric = TorchFidelity(toy, None, FEW)
    with torch.no_grad():
        metric.network.scale.fill_(float("nan"))
    with pytest.raises(ModelError, match="plain-0.*NaN"):
        metric(Plain(levels(8, 1)), Plain(levels(8, 2)))


@needs_library
@pytest.mark.parametrize(
    ("n", "there"),
    [
        (2, {"fid", "kid_mean", "is_mean", "is_std"}),
        (4, {"fid", "kid_mean", "is_mean", "is_std", "precision", "recall", "f_score"}),
    ],
)
def test_what_few_images_cannot_give_is_left_out_with_a_note(
    toy: str, n: int, there: set[str]
) -> None:
    found = measured(Plain(levels(n, 1)), Plain(levels(n, 2)))
    assert set(found.values) == there
    notes = " ".join(found.options["notes"])
    assert ("no precision" in notes) == (n < 4)
    assert ("singular" in notes) == (n <= 3)
    assert f"few images (here {n})" in notes


@needs_library
def test_one_image_is_refused(toy: str) -> None:
    with pytest.raises(TallyError, match="too few images.*no FID.*no KID"):
        measured(Plain(levels(1, 1)), Plain(levels(1, 2)))


# -------------------------------------------------------------------------------------- the weights


def known() -> Registry:
    found = Registry()
    found.add(catalog, PluginRecord("fidelity", "seeingkit", "0", catalog.__name__))
    return found


@needs_library
def test_inception_is_filled_from_a_file_read_as_data(tmp_path: Path) -> None:
    from seeingkit_plugins.fidelity.library import INCEPTION, build_extractor, extractor_class

    kind = extractor_class(INCEPTION)

    class Unfilled(kind):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            """Keeps the layers as they were initialised."""

    empty = tmp_path / "empty.pth"
    torch.save({}, empty)
    torch.manual_seed(1)
    fresh = Unfilled(INCEPTION, ["2048"], feature_extractor_weights_path=empty).eval()
    path = tmp_path / "inception.pth"
    torch.save(fresh.state_dict(), path)
    before = torch.get_rng_state()
    built = build_extractor(INCEPTION, ["2048"], path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not built.training
    assert not any(p.requires_grad for p in built.parameters())
    for (key, first), (_, second) in zip(
        fresh.state_dict().items(), built.state_dict().items(), strict=True
    ):
        assert torch.equal(first, second), key
    pictures = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(built(pictures)[0], fresh(pictures)[0])


@needs_library
def test_files_that_are_not_the_weights_are_refused(tmp_path: Path) -> None:
    choice = resolve_metric(
        "fidelity", weights=_saved(tmp_path, {"a": torch.ones(2)}), known=known()
    )
    sides = Plain(levels(8, 1)), Plain(levels(8, 2))
    with pytest.raises(StateMismatchError, match="not the weights of inception"):
        measure(choice, *sides)

    class Evil:
        def __reduce__(self) -> Any:
            return (print, ("ran",))

    evil = resolve_metric("fidelity", weights=_saved(tmp_path, {"a": Evil()}), known=known())
    with pytest.raises(UnsafeFileError):
        measure(evil, *sides)
    (tmp_path / "page.pth").write_text("<html>")
    page = resolve_metric("fidelity", weights=tmp_path / "page.pth", known=known())
    with pytest.raises(CorruptFileError, match="web page"):
        measure(page, *sides)


def _saved(folder: Path, content: object) -> Path:
    path = folder / "some.pth"
    torch.save(content, path)
    return path


@needs_library
def test_the_library_never_fetches_a_file_itself() -> None:
    from seeingkit_plugins.fidelity.metrics import TorchFidelity

    with pytest.raises(MissingWeightsError, match="needs the file"):
        TorchFidelity()
    with pytest.raises(UnknownNameError, match="clip"):
        TorchFidelity("clip-vit-b-32")


@needs_library
def test_offline_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path))
    file = catalog.INCEPTION
    with pytest.raises(MissingWeightsError) as caught:
        resolve_metric(known=known())
    message = str(caught.value)
    folder = tmp_path / "weights" / "fidelity" / "inception"
    for part in (file.url, file.name, file.sha256, str(folder)):
        assert part is not None
        assert part in message
    assert "\n" not in message
    folder.mkdir(parents=True)
    (folder / file.name).write_bytes(b"something else")
    with pytest.raises(CorruptFileError):
        resolve_metric(known=known())


# --------------------------------------------------------------------------------------- the engine


@needs_library
def test_the_engine_measures_by_whatever_metric_is_registered(toy: str) -> None:
    registered = registry_of(
        MetricSpec(
            name="colours",
            summary="toy",
            target=f"{__name__}:colours",
            options=FidelityOptions,
            needs_weights=False,
            package="torch_fidelity",
            default=True,
        )
    )
    choice = resolve_metric(options={"is_splits": 2}, known=registered)
    first, second = Plain(levels(30, 1)), Plain(levels(30, 2))
    found = measure(choice, first, second, device="auto", batch_size=8, seed=3)
    assert found.library.startswith("torch-fidelity 0.4")
    assert FidelityResult.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(UsageError, match="batch size"):
        measure(choice, first, second, batch_size=0)
    with pytest.raises(SourceError, match="counted elsewhere"):
        measure(choice, first, CountedNoise(30))


def colours(weights: Path | None, options: FidelityOptions) -> Any:
    """The target of the toy metric."""
    from seeingkit_plugins.fidelity.metrics import TorchFidelity

    return TorchFidelity(TOY, weights, options)


def test_a_library_that_is_not_installed_is_named_with_its_extra() -> None:
    registered = registry_of(
        MetricSpec(
            name="absent",
            summary="needs what is not here",
            target="nowhere:load",
            package="a_package_that_nobody_has",
            extra="fidelity",
        )
    )
    with pytest.raises(PluginError, match=r"pip install 'seeingkit\[fidelity\]'"):
        resolve_metric("absent", known=registered)
    with pytest.raises(UnknownNameError, match="absent"):
        resolve_metric("absnt", known=registered)
    with pytest.raises(UsageError, match="no option 'kid'"):
        resolve_metric("absent", options={"kid": 1}, known=registered)


@pytest.mark.skipif(
    importlib.util.find_spec("torch_fidelity") is not None, reason="torch-fidelity is installed"
)
def test_without_the_library_the_extra_is_named() -> None:
    with pytest.raises(PluginError, match=r"pip install 'seeingkit\[fidelity\]'"):
        resolve_metric("fidelity", known=known())


@pytest.mark.parametrize(
    "options", [{"metrics": ()}, {"metrics": ("fid", "fid")}, {"kid_subset_size": 1}]
)
def test_options_are_checked_before_anything_is_looked_for(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        resolve_metric("fidelity", options=options, known=known())


def test_registering_imports_neither_torch_nor_the_library() -> None:
    _run(
        "import sys\n"
        "import seeingkit.analyses.comparison.checks.metrics, seeingkit_plugins.fidelity.catalog\n"
        "assert not {'torch', 'torch_fidelity', 'torchvision'} & set(sys.modules)\n"
    )


@needs_library
def test_torchvision_is_not_imported_and_nothing_of_it_is_left() -> None:
    _run(
        "import sys, warnings\n"
        "from seeingkit_plugins.fidelity.library import library\n"
        "before = list(warnings.filters)\n"
        "fidelity = library()\n"
        "assert fidelity.__version__.startswith('0.4')\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'torchvision']\n"
        "assert warnings.filters == before\n"
        "assert library() is fidelity\n"
    )


def test_a_library_that_cannot_be_imported_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from seeingkit_plugins.fidelity.library import library

    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(PluginError, match=r"pip install 'seeingkit\[fidelity\]'"):
        library()
    with pytest.raises(PluginError, match=r"pip install 'seeingkit\[fidelity\]'"):
        resolve_metric("fidelity", known=known())


def _run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
