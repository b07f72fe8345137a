"""The monitor as a metric of torchmetrics: its state adds up over processes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from seeingkit import Monitor, Tally, tally
from seeingkit.images import open_images
from tests.helpers.toys import LevelSegmenter
from tests.runs.test_monitor import images, saved

if find_spec("torchmetrics") is None:
    pytest.skip("torchmetrics is not installed (an extra)", allow_module_level=True)

from seeingkit_plugins.monitoring.metric import SegmentationDistance

N = 61


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Tally:
    folder = tmp_path_factory.mktemp("monitoring")
    source = open_images(saved(folder / "real", images(N, 0)), preset="native")
    return tally(source, LevelSegmenter(), store=folder / "store")


def metric(real: Tally) -> SegmentationDistance:
    return SegmentationDistance(Monitor(real, LevelSegmenter(), permutations=99))


def _process(rank: int, real: Path, meeting: Path, out: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    drawn, found = images(N, 1), []
    for given in (False, True, "first alone"):
        each = metric(Tally.load(real))
        numbers = torch.arange(rank, N, 2)
        if given is True:  # as a sampler that fills up the last round with the first images
            numbers = torch.cat([numbers, torch.tensor([0])]) if rank else numbers
            each.update(drawn[numbers], ids=numbers)
        elif given:
            if not rank:
                each.update(drawn, ids=range(N))
        else:
            for part in numbers.split(9):
                each.update(drawn[part])
        found.append((each.compute(), each.check))
        assert each.check is not None and isinstance(each.parts, list)  # its own again
    torch.save([(numbers, check.model_dump()) for numbers, check in found], out / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_one(real: Tally, tmp_path: Path) -> None:
    stored = real.save(tmp_path / "real.parquet")
    spawn(_process, (stored, tmp_path / "meeting", tmp_path), nprocs=2)
    alone = metric(real)
    alone.update(images(N, 1))
    expected, check = alone.compute(), alone.check
    assert check is not None and check.images == N
    for rank in (0, 1):
        for numbers, found in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert found == check.model_dump()
            assert numbers == expected


def test_numbers_by_name_and_reset(real: Tally) -> None:
    ours = metric(real)
    assert ours(images(8, 2)) is None  # forward counts, and compares nothing
    ours.update(images(N, 3)[8:])
    found = ours.compute()
    assert found.keys() == {"fsd", "fsd_low", "fsd_high", "fsd_floor", "missing_classes"}
    assert ours.check is not None and float(found["fsd"]) == pytest.approx(ours.check.fsd.value)
    ours.reset()
    assert ours.parts == [] and int(ours.seen) == 0
    ours.update(images(8, 2))
    ours.compute()
    assert ours.check.number == 2 and ours.check.images == 8


def test_the_same_as_the_monitor(real: Tally) -> None:
    ours, plain = metric(real), Monitor(real, LevelSegmenter(), permutations=99)
    for start in (0, 10):
        ours.update(images(N, 4)[start : start + 10])
        plain.update(images(N, 4)[start : start + 10])
    ours.compute()
    assert ours.check == plain.compute()


@pytest.mark.filterwarnings("ignore")  # of the library: about torch's and about its loaders
def test_a_callback_of_lightning_logs_the_numbers(real: Tally, tmp_path: Path) -> None:
    if find_spec("lightning") is None:
        pytest.skip("lightning is not installed (an extra)")
    from seeingkit.errors import UsageError
    from seeingkit_plugins.monitoring.callback import CheckTraining

    from lightning.pytorch import LightningModule, Trainer  # isort: skip

    class Brighter(LightningModule):
        """A generator of one number, that learns to be bright."""

        def __init__(self) -> None:
            super().__init__()
            self.level = torch.nn.Parameter(torch.tensor(-0.9))
            self.seen: list[dict[str, Any]] = []

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return (self.level - 0.9).square()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.2)

        def log_dict(self, found: Any, *args: Any, **kwargs: Any) -> None:
            self.seen.append({name: float(value) for name, value in found.items()})

    module = Brighter()
    base = images(8, 5)
    watch = CheckTraining(
        metric(real), lambda drawn: [(base + 0 * drawn.level)[:4], base[4:]], every=2
    )
    trainer = Trainer(
        max_steps=4,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=tmp_path,
    )
    trainer.fit(module, torch.utils.data.DataLoader([0.0] * 8, batch_size=1))
    assert len(module.seen) == 2 and "seeingkit/fsd" in module.seen[0]
    assert watch.metric.check is not None and watch.metric.check.number == 2
    with pytest.raises(UsageError, match="every 0 steps"):
        CheckTraining(watch.metric, lambda module: [], every=0)
