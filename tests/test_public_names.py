"""What third parties import keeps its path: the names below are a promise, not a description."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

import seeingkit
from seeingkit.models.registry import Registry, check_options, import_target
from seeingkit.specs import GanSpec
from seeingkit.testing import check_sampler

PROMISED = {
    "seeingkit": """
        AddEdit Analysis ArtifactSearch Assessment AutoStaged Comparison Dissection FSD
        GeneratorsComparison Interventions Inversion Monitor RewrittenGenerator StagedAdapter Tally
        TrainingCheck UnitContrasts UnitEdit WeightEdit analyze artifacts assess compare
        compare_generators compare_units dissect fsd intervene invert load_annotator load_encoder
        load_features load_generator
        load_inverter load_segmenter open_images repair rewrite run sweep tally trace
    """,
    "seeingkit.contracts": """
        Annotator Boundary Encoder EncoderInfo Features FeaturesInfo Generator GeneratorInfo
        ImageSource Inversion Inverter Label Latent LatentSpec ModelEncoder OwnEncoder Posterior
        RewritableGenerator Sampler Segmenter SegmenterInfo Site Skipped State Vocabulary
        seeds_latents sequence_latents
    """,
    "seeingkit.specs": """
        PRESETS PROJECT DataSpec EncoderOptions EncoderSpec FeaturesSpec GanGroupSpec GanSpec Hooks
        InverterSpec Kind MetricSpec Options Preset Register SegmenterSpec Spec TrackerSpec
        WeightFile WeightsSpec hookimpl hookspec
    """,
    "seeingkit.hooks": "PROJECT Hooks Register hookimpl hookspec",
    "seeingkit.errors": """
        CorruptFileError DuplicateNameError ExitCode ImageError MissingWeightsError ModelError
        PluginError RunError SeeingkitError SourceError StateMismatchError TallyError
        UnknownNameError UnsafeFileError UsageError WeightsError
    """,
    "seeingkit.weights": """
        Checkpoint Inert WeightsFile check_claims check_finite check_state fill load_into
        portable_config portable_family read_checkpoint read_state_dict shown state_dict
        write_portable
    """,
    "seeingkit.testing": """
        Check check_device check_encoder check_features check_generator check_sampler
        check_segmenter check_sites check_source checks_for device_checks encoder_checks failures
        features_checks generator_checks parametrize_with_checks sampler_checks segmenter_checks
        site_checks source_checks transfers_of
    """,
    "seeingkit.images": """
        DECODE PRESETS SUFFIXES ArrayImages FileImages Limits LmdbImages ParquetImages SamplerSource
        Selection ShardOptions StoredImages TarImages ZipImages apply decode find_preset open_file
        open_folder open_glob open_images open_list quantise select to_tensor
    """,
    "seeingkit.statistics": """
        FSD Distance Floor Moments Pool compare_classes disjoint_half_floor frechet fsd_of_rows
        measure_distance moments
    """,
    "seeingkit.tallies": "ChunkStore Tally TallyIdentity tally",
    "seeingkit.tallies.vocabularies": "read_classes",
    "seeingkit.results": "Results",
    "seeingkit.results.gates": "check_gates",
}
"""Module → the names that it has for good."""

LIGHT = ["seeingkit", *(f"seeingkit.{name}" for name in ("specs", "hooks", "errors", "results"))]
HEAVY = ["torch", "numpy", "PIL", "pyarrow"]


@pytest.mark.parametrize("module", PROMISED)
def test_promised_names_are_there(module: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in PROMISED[module].split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("module", PROMISED)
def test_all_lists_names_that_exist_and_no_twice(module: str) -> None:
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", [])
    assert [name for name in listed if not hasattr(found, name)] == []
    assert len(listed) == len(set(listed))
    assert module != "seeingkit" or set(listed) == set(PROMISED[module].split())


def test_lazy_names_are_listed_and_unknown_ones_refused() -> None:
    for package in ("seeingkit", "seeingkit.tallies"):
        found = importlib.import_module(package)
        with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nothing'"):
            found.nothing  # noqa: B018
    assert set(seeingkit.__all__) <= set(dir(seeingkit))


def test_the_old_home_of_the_hook_gives_the_same_objects() -> None:
    hooks, specs = map(importlib.import_module, ("seeingkit.hooks", "seeingkit.specs"))
    for name in PROMISED["seeingkit.hooks"].split():
        assert getattr(hooks, name) is getattr(specs, name)


def test_errors_are_one_tree() -> None:
    errors = importlib.import_module("seeingkit.errors")
    for name in PROMISED["seeingkit.errors"].split():
        if name != "ExitCode":
            assert issubclass(getattr(errors, name), errors.SeeingkitError)
    assert {code.name: int(code) for code in errors.ExitCode}["INTERRUPTED"] == 130


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_no_heavy_ones(module: str) -> None:
    program = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_built_in_plugins_come_in_by_the_entry_point_group() -> None:
    found = {point.name: point.value for point in entry_points(group="seeingkit")}
    assert found.items() >= {
        ("adapters", "seeingkit_adapters.catalog"),
        ("fidelity", "seeingkit_plugins.fidelity.catalog"),
        ("huggingface", "seeingkit_plugins.huggingface.catalog"),
        ("inversion", "seeingkit.analyses.inversion.catalog"),
        ("lsun", "seeingkit_plugins.lsun.catalog"),
        ("minichurches", "seeingkit_plugins.minichurches.catalog"),
        ("tracking", "seeingkit_plugins.tracking.catalog"),
    }


PLUGIN = """
import torch
from seeingkit.contracts import GeneratorInfo, LatentSpec, Sampler
from seeingkit.hooks import Register, hookimpl
from seeingkit.specs import GanSpec, Options


class Brightness(Options):
    level: float = 0.0


class Flat(Sampler):
    def __init__(self, level):
        self.info = GeneratorInfo(
            family="flat", resolution=8, latent=(LatentSpec(shape=(1,)),), options={"level": level}
        )

    def __call__(self, latent):
        level = self.info.options["level"]
        return torch.tanh(latent["z"] + level).reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8).clone()


def load(weights, options):
    return Flat(options.level)


@hookimpl
def seeingkit_register(register: Register) -> None:
    register(
        GanSpec(
            name="flat",
            summary="pictures of one brightness",
            target="plugin_of_old:load",
            options=Brightness,
            needs_weights=False,
        )
    )
"""


def test_a_plugin_written_for_the_old_paths_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_of_old.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = Registry()
    known.load([EntryPoint("old", "plugin_of_old", "seeingkit")], {"SEEINGKIT_STRICT": "1"})
    assert [(p.status, p.registers) for p in known.plugins] == [("ok", ["gan flat"])]
    spec = known.resolve("gan", "flat")
    assert isinstance(spec, GanSpec)
    sampler = import_target(spec)(None, check_options(spec, {"level": 0.5}))
    check_sampler(sampler)
    assert sampler(sampler.latents(range(4))).shape == (4, 3, 8, 8)
