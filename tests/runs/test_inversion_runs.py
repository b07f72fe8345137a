"""Inverting the images of a source: resumable, shared, named by everything that matters."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from seeingkit.analyses.inversion import load_inverter, resolve_inverter
from seeingkit.analyses.inversion.cuts import cuts_of, methods_at, prepare_first_cut
from seeingkit.analyses.inversion.job import ON_CPU
from seeingkit.analyses.inversion.methods import LayerInverter
from seeingkit.analyses.inversion.photos import Inverted, invert_source
from seeingkit.analyses.inversion.prepared import LayerPrepared
from seeingkit.analyses.inversion.stage import Photos, StageResult, run_stage
from seeingkit.analyses.inversion.store import InversionStore, read_inversion, write_inversion
from seeingkit.analyses.inversion.vanishing import areas
from seeingkit.contracts import Generator, Inversion, Inverter, Latent, Prepared, State
from seeingkit.errors import ModelError, PluginError, RunError, UnknownNameError, UsageError
from seeingkit.images import SamplerSource, open_images
from seeingkit.images.preprocess import to_tensor
from seeingkit.models.autostaged import AutoStaged
from seeingkit.models.registry import find_preset
from seeingkit.results import InversionRecord
from seeingkit.runs.config import InversionConfig
from seeingkit.system.addresses import RemotePath
from tests.helpers.toys import LevelSegmenter

STEPS = 6
SIZE = 16
PRESET = find_preset("paper", SIZE)


class Painter(nn.Module):
    """8 numbers to 16x16 pixels; gives NaN to images brighter than ``limit``."""

    def __init__(self, seed: int = 0, limit: float = 2.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Sequential(
            nn.Linear(8, 256), nn.Unflatten(1, (16, 4, 4)), nn.LeakyReLU(0.2)
        )
        self.second = nn.Sequential(nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.LeakyReLU(0.2))
        self.last = nn.Sequential(nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())
        self.limit = limit
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(3)  # pictures with contrast

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.last(self.second(self.first(z)))
        bright = image.mean((1, 2, 3), keepdim=True) > self.limit
        return image.masked_fill(bright, float("nan"))


def painter(seed: int = 0, limit: float = 2.0) -> AutoStaged:
    return AutoStaged(Painter(seed, limit), {"h4": "first", "h8": "second"}, latent=8)


def method(name: str = "layered+r", **options: Any) -> Inverter:
    return load_inverter(
        name, **{"encoder": "none", "perceptual": "none", "cut": "h4", "steps": STEPS, **options}
    )


@pytest.fixture(scope="module")
def generator() -> AutoStaged:
    return painter()


def write_photos(folder: Path, n: int, seed: int = 0) -> Path:
    folder.mkdir()
    random = np.random.default_rng(seed)
    for k in range(n):
        blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(np.kron(blocks, np.ones((4, 4, 1), np.uint8))).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "seven", 7)


def files(store: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.rglob("*.safetensors")}


class Watched(Inverter):
    """Another inverter, told what it is asked; ``told`` hears of each finished row."""

    def __init__(self, inner: Inverter, told: Callable[[], None] = lambda: None) -> None:
        self.inner, self.name, self.target, self.told = inner, inner.name, inner.target, told
        self.asked: list[int] = []

    def prepare(self, generator: Generator) -> Prepared:
        return self.inner.prepare(generator)

    def invert(
        self,
        generator: Generator,
        images: Tensor,
        *,
        prepared: Prepared | None = None,
        labels: Sequence[int] | None = None,
        init: Latent | State | None = None,
        seed: int = 0,
        batch_size: int = 8,
        done: Callable[[int, Inversion], None] | None = None,
    ) -> Inversion:
        self.asked.append(len(images))

        def heard(row: int, inversion: Inversion) -> None:
            assert done is not None
            done(row, inversion)
            self.told()

        return self.inner.invert(
            generator,
            images,
            prepared=prepared,
            labels=labels,
            seed=seed,
            batch_size=batch_size,
            done=heard,
        )


def tensors(one: Inversion) -> dict[str, Tensor]:
    found = {
        "images": one.images,
        "reconstruction": one.reconstruction,
        "initial": one.initial,
        "x": one.state.x,
        "loss": one.loss,
        "psnr": one.psnr,
        "steps": one.steps,
        "history": one.history[0],
        "frames": one.frames[0][1],
        **{f"carry.{name}": value for name, value in one.state.carry.items()},
    }
    return found if one.z is None else {**found, "z": one.z}


def same(a: Inverted, b: Inverted, within: float = 0.0) -> bool:
    """Equal image for image, to the last bit unless told otherwise."""
    assert (a.rows, a.ids, a.skipped) == (b.rows, b.ids, b.skipped)
    pairs = zip(map(tensors, a.inversions), map(tensors, b.inversions), strict=True)
    return torch.equal(a.images, b.images) and all(
        x.keys() == y.keys()
        and all(torch.allclose(x[name], y[name], rtol=within, atol=within) for name in x)
        for x, y in pairs
    )


# ----------------------------------------------------------------------------------------- resuming


def test_finished_images_are_on_disk_at_once_and_never_done_again(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    source, store = open_images(folder, preset=PRESET), InversionStore(tmp_path)
    on_disk: list[int] = []
    watched = Watched(method(), lambda: on_disk.append(len(files(tmp_path))))
    first = invert_source(generator, source, watched, store=store, rows=range(5), batch_size=2)
    assert on_disk == [1, 2, 3, 4, 5]
    assert watched.asked == [5] and first.seconds > 0
    assert first.ids == ("0.png", "1.png", "2.png", "3.png", "4.png")
    stamps = files(tmp_path)
    again = invert_source(generator, source, watched, store=store, rows=range(5), batch_size=3)
    assert watched.asked == [5]  # nothing to do; whatever the batch
    assert again.seconds == first.seconds  # as it was
    assert same(first, again)
    more = invert_source(generator, source, watched, store=store, rows=[6, 0, 5])
    assert watched.asked == [5, 2]  # only the two new ones
    assert more.rows == (6, 0, 5) and more.ids == ("6.png", "0.png", "5.png")
    assert stamps.items() <= files(tmp_path).items() and len(files(tmp_path)) == 7
    assert set(more.files) <= set(files(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "within"),
    [
        # Matrix products and transposed convolutions of a CPU round by the number of rows, in the
        # last bit; the resumed rows stand in other batches. (A ProGAN's convolutions do not, see
        # test_inversion_methods.) Frames are kept in 16 bits.
        ("layered+r", 1e-3),
        ("z", 1e-3),
    ],
)
@pytest.mark.parametrize("after", [1, 3])
def test_stopped_after_some_images_and_resumed(
    generator: AutoStaged, folder: Path, tmp_path: Path, name: str, within: float, after: int
) -> None:
    source = open_images(folder, preset=PRESET)
    whole = invert_source(
        generator, source, method(name), store=InversionStore(tmp_path / "whole"), batch_size=4
    )

    def stop() -> None:
        if len(files(tmp_path / "stopped")) == after:
            raise KeyboardInterrupt

    store = InversionStore(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        invert_source(generator, source, Watched(method(name), stop), store=store, batch_size=4)
    kept = files(tmp_path / "stopped")
    assert len(kept) == after
    watched = Watched(method(name))
    resumed = invert_source(generator, source, watched, store=store, batch_size=4)
    assert watched.asked == [7 - after]
    assert kept.items() <= files(tmp_path / "stopped").items()
    assert same(whole, resumed, within)
    assert {p.name for p in files(tmp_path / "stopped")} == {p.name for p in whole.files}


def test_an_interrupt_on_a_cpu_loses_few_images_whatever_the_batch(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    source = open_images(folder, preset=PRESET)
    stopping = Stopping(Painter(), {"h4": "first", "h8": "second"}, latent=8)
    inverter = method()
    prepared = inverter.prepare(stopping)
    many = stopping.passes = 10**9
    whole = InversionStore(tmp_path / "whole")
    invert_source(stopping, source, inverter, prepared=prepared, store=whole)
    made = many - stopping.passes
    for batch_size in (16, 7):
        store = InversionStore(tmp_path / str(batch_size))
        stopping.passes = made - 9  # of seven images four are finished, the others in work
        with pytest.raises(KeyboardInterrupt):
            invert_source(
                stopping, source, inverter, prepared=prepared, store=store, batch_size=batch_size
            )
        assert len(files(store.folder)) == ON_CPU


# ------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("harm", ["flipped", "short", "exchanged"])
def test_a_damaged_inversion_is_named_set_aside_and_made_again(
    generator: AutoStaged,
    folder: Path,
    tmp_path: Path,
    harm: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, store = open_images(folder, preset=PRESET), InversionStore(tmp_path)
    first = invert_source(generator, source, method(), store=store, rows=[0, 1])
    bad, other = first.files
    whole = bad.read_bytes()
    changed = bytearray(whole)
    changed[len(changed) // 2] ^= 1
    harmed = {"flipped": bytes(changed), "short": whole[:99], "exchanged": other.read_bytes()}[harm]
    bad.write_bytes(harmed)
    caplog.clear()
    watched = Watched(method())
    again = invert_source(generator, source, watched, store=store, rows=[0, 1])
    assert watched.asked == [1] and same(first, again, 1e-3)
    (message,) = [m for m in caplog.messages if "damaged" in m]
    assert message.startswith(f"{bad}: damaged (") and "moved to damaged/" in message
    assert (bad.parent / "damaged" / bad.name).read_bytes() == harmed


def test_every_flipped_bit_of_an_inversion_is_found(generator: AutoStaged, tmp_path: Path) -> None:
    (one,) = _inversions(generator, 1)
    path = write_inversion(tmp_path / "one.safetensors", one)
    whole, draw = path.read_bytes(), random.Random(0)
    for place in draw.sample(range(8 * len(whole)), 100):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="not a readable inversion"):
            read_inversion(path)


def test_versions_never_share_inversions(generator: AutoStaged) -> None:
    store, image = InversionStore("store"), torch.zeros(3, SIZE, SIZE)
    prepared = method().prepare(generator)
    codes = ("", "1-aaaaaaaaaaaa", "2-aaaaaaaaaaaa", "1-bbbbbbbbbbbb")
    assert len({store.path(generator, prepared, image, code=code) for code in codes}) == 4


class Stopping(AutoStaged):
    """A generator that somebody interrupts after some passes."""

    passes = 10**9

    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        self.passes -= 1
        if self.passes < 0:
            raise KeyboardInterrupt
        return super().advance(state, to, params=params)


def test_stopped_in_the_middle_of_the_optimisation_and_resumed(
    folder: Path, tmp_path: Path
) -> None:
    source = open_images(folder, preset=PRESET)
    generator = Stopping(Painter(), {"h4": "first", "h8": "second"}, latent=8)
    inverter = method()
    prepared = inverter.prepare(generator)  # which makes passes of its own
    generator.passes = 2 * STEPS + 9  # the first two are finished, the next two are in work
    store = InversionStore(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        invert_source(generator, source, inverter, prepared=prepared, store=store, batch_size=2)
    assert 0 < len(files(tmp_path / "stopped")) < 7
    assert not list(tmp_path.rglob("*.tmp"))
    generator.passes = 10**9
    resumed = invert_source(generator, source, method(), store=store, batch_size=2)
    whole = invert_source(
        generator, source, method(), store=InversionStore(tmp_path / "whole"), batch_size=2
    )
    assert same(whole, resumed)


def test_a_file_is_written_whole_or_not_at_all(
    generator: AutoStaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = _inversions(generator, 1)

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_inversion(tmp_path / "ab" / "one.safetensors", one)
    assert list((tmp_path / "ab").iterdir()) == []


# ----------------------------------------------------------------------------------------- the file


def _inversions(generator: AutoStaged, n: int, **options: Any) -> list[Inversion]:
    found: dict[int, Inversion] = {}
    images = generator(generator.latents(range(n), seed=5)).clamp(-0.9, 0.9)
    method(**options).invert(generator, images, done=found.__setitem__)
    return [found[k] for k in range(n)]


def test_a_file_gives_back_what_was_found(generator: AutoStaged, tmp_path: Path) -> None:
    for k, one in enumerate(_inversions(generator, 2)):
        back = read_inversion(write_inversion(tmp_path / f"{k}.safetensors", one))
        assert (back.method, back.cut, back.failed) == (one.method, "h4", {})
        assert back.state.at == one.state.at and back.converged.equal(one.converged)
        assert back.frames[0][0] == one.frames[0][0]
        here, there = tensors(one), tensors(back)
        for name in here.keys() - {"frames", "history"}:
            assert torch.equal(here[name], there[name]), name
        assert torch.allclose(here["frames"], there["frames"], atol=1e-3)  # kept in 16 bits
        assert torch.allclose(here["history"].float(), there["history"].float())


def test_only_single_rows_are_written(generator: AutoStaged, tmp_path: Path) -> None:
    images = generator(generator.latents(range(2))).clamp(-0.9, 0.9)
    both = method().invert(generator, images)
    with pytest.raises(RunError, match="holds one inversion, not 2"):
        write_inversion(tmp_path / "two.safetensors", both)


def _truncated(data: bytes) -> bytes:
    return data[:-100]


def _garbage(_: bytes) -> bytes:
    return b"not tensors at all" * 100


def _other(_: bytes) -> bytes:
    return safetensors.torch.save({"a": torch.zeros(1)})


def _nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [_truncated, _garbage, _other, _nothing])
def test_a_damaged_file_is_an_error_that_names_it(
    generator: AutoStaged, folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    source, store = open_images(folder, preset=PRESET), InversionStore(tmp_path)
    found = invert_source(generator, source, method(), rows=[0, 1], store=store)
    data = damage(found.files[1].read_bytes())
    found.files[1].unlink()  # what was found may still be read from the file itself
    found.files[1].write_bytes(data)
    with pytest.raises(RunError) as caught:
        read_inversion(found.files[1])
    assert str(found.files[1]) in str(caught.value) and "delete it" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    again = invert_source(generator, source, method(), rows=[0, 1], store=store)
    assert same(again, found, 1e-3)


# ------------------------------------------------------------------------------------------ the key


def test_the_key_changes_with_everything_that_changes_the_result(generator: AutoStaged) -> None:
    image = torch.zeros(3, SIZE, SIZE)
    other = image.clone()
    other[0, 0, 0] = 1 / 127.5
    store = InversionStore("store")

    def key(
        inverter: Inverter | None = None,
        model: Generator = generator,
        picture: Tensor = image,
        **more: Any,
    ) -> str:
        inverter = inverter or method()
        return store.path(model, inverter.prepare(model), picture, **more).stem

    changed = [
        key(model=painter(seed=1)),
        key(model=painter(limit=1.5)) if painter(limit=1.5).info != generator.info else "same",
        key(picture=other),
        key(seed=1),
        key(label=0),
        key(label=1),
        key(method(cut="h8")),
        key(method(steps=STEPS + 1)),
        key(method(rate=0.05)),
        key(method(residual_weight=0.5)),
        key(method(residuals="before", cut="h8")),
        key(method(preset="paper")),
        key(method("z")),
    ]
    assert len({key(), *changed}) == len(changed) + 1
    assert key() == key(method()) == key(seed=0, label=None)
    options = generator.info.model_copy(update={"options": {"psi": 0.5}})
    altered = painter()
    altered.info = options
    assert key(model=altered) != key()


def test_the_key_does_not_hold_what_changes_no_number(generator: AutoStaged) -> None:
    store, image = InversionStore("store"), torch.zeros(3, SIZE, SIZE)
    keys = {
        store.path(generator, method(**options).prepare(generator), image)
        for options in ({}, {"frames": 3}, {"encoder_steps": 7})  # no encoder is used here
    }
    assert len(keys) == 1
    licensed = painter()
    licensed.info = licensed.info.model_copy(update={"licence": "MIT", "parameters": 1})
    assert store.path(licensed, method().prepare(licensed), image) in keys


# ------------------------------------------------------------------------------------------ sharing


def _inverted(folder: Path, store: Path, number: int, world: int, log: Path) -> None:
    """One process of several; notes how many images each call of the inverter was given."""
    torch.set_num_threads(1)  # those of the parent are not here
    os.environ.update(RANK=str(number), WORLD_SIZE=str(world))
    watched = Watched(method())
    source = open_images(folder, preset=PRESET)
    invert_source(painter(), source, watched, store=InversionStore(store), batch_size=2)
    log.write_text(" ".join(map(str, watched.asked)))


def test_processes_share_the_images(generator: AutoStaged, folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    processes = [
        context.Process(target=_inverted, args=(folder, tmp_path / "many", number, 3, log))
        for number, log in enumerate(logs)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    asked = [int(size) for log in logs for size in log.read_text().split()]
    assert sum(asked) == 7 and max(asked) <= 3  # each image once, a batch at a time
    assert not list((tmp_path / "many").rglob("*.claim"))
    watched = Watched(method())
    source = open_images(folder, preset=PRESET)
    together = invert_source(generator, source, watched, store=InversionStore(tmp_path / "many"))
    assert watched.asked == []
    alone = invert_source(generator, source, method(), store=InversionStore(tmp_path / "alone"))
    assert same(together, alone)


def test_a_process_that_never_comes_is_not_waited_for(
    generator: AutoStaged, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    watched, source = Watched(method()), open_images(folder, preset=PRESET)
    found = invert_source(generator, source, watched, store=InversionStore(tmp_path), batch_size=2)
    assert watched.asked == [2, 2, 3] and len(found.inversions) == len(files(tmp_path)) == 7


def test_inversions_at_an_address_are_those_of_a_folder(
    generator: AutoStaged, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, store = open_images(folder, preset=PRESET), InversionStore("memory://inversions/seven")
    local = invert_source(generator, source, method(), store=InversionStore(tmp_path))
    there = invert_source(generator, source, method(), store=store)
    assert same(there, local)
    assert isinstance(store.folder, RemotePath)
    kept = {p.name: p.read_bytes() for p, _, _ in store.folder.below() if p.suffix != ".seconds"}
    assert kept == {path.name: path.read_bytes() for path in files(tmp_path)}
    damaged = min(p for p, _, _ in store.folder.below() if p.suffix == ".safetensors")
    damaged.write_whole(kept[damaged.name][:-1])
    watched = Watched(method())
    assert same(invert_source(generator, source, watched, store=store), local)
    assert watched.asked == [1] and "moved to damaged/" in caplog.text


# --------------------------------------------------------------------------------------- bad images


def test_unreadable_photos_are_named_and_the_others_go_on(
    generator: AutoStaged, tmp_path: Path
) -> None:
    folder = write_photos(tmp_path / "photos", 3)
    (folder / "1.png").write_text("no picture")
    (folder / "9.jpg").write_bytes(b"")
    source = open_images(folder, preset=PRESET)
    found = invert_source(generator, source, method(), store=InversionStore(tmp_path / "store"))
    assert found.ids == ("0.png", "2.png") and len(found.inversions) == 2
    assert sorted(s.item for s in found.skipped) == ["1.png", "9.jpg"]
    assert all(s.reason for s in found.skipped)
    nothing = invert_source(
        generator, source, method(), rows=[1], store=InversionStore(tmp_path / "store")
    )
    assert nothing.inversions == () and [s.item for s in nothing.skipped] == ["1.png"]


@pytest.mark.parametrize("batch", [2, 8])
def test_nan_for_one_image_is_named_and_the_others_go_on(tmp_path: Path, batch: int) -> None:
    """A generator that breaks on bright images: the way to the white photo leads through NaN."""
    folder = write_photos(tmp_path / "photos", 3)
    Image.new("RGB", (SIZE, SIZE), "white").save(folder / "1.png")
    source, fragile = open_images(folder, preset=PRESET), painter(limit=0.2)
    watched = Watched(method(steps=40, rate=0.3))
    store = InversionStore(tmp_path / "store")
    found = invert_source(fragile, source, watched, store=store, batch_size=batch)
    assert found.ids == ("0.png", "2.png") and found.rows == (0, 2)
    ((item, reason),) = found.skipped
    assert item == "1.png" and "NaN or Inf at step" in reason
    # The others are what they are with a generator that never breaks.
    whole = invert_source(
        painter(), source, method(steps=40, rate=0.3), store=store, rows=[0, 2], batch_size=batch
    )
    assert same(
        whole, Inverted(found.rows, found.ids, found.inversions, (), (), None, found.images)
    )
    # A resumed run does not try it again, and still tells.
    again = invert_source(fragile, source, watched, store=store)
    assert watched.asked == [3] and again.skipped == found.skipped


# ---------------------------------------------------------------------------------------- the stage


def stage(
    generator: Generator,
    folder: Path,
    run: Path | None,
    store: Path,
    *,
    own: int = 20,
    patched: int = 5,
    segmenter: LevelSegmenter | None = None,
    methods: tuple[str, ...] = ("layered+r",),
    cuts: tuple[str, ...] = ("h4",),
    on_bad: Literal["skip", "fail"] = "skip",
    **options: Any,
) -> StageResult:
    source = open_images(folder, preset=PRESET)
    chosen = {"encoder": "none", "perceptual": "none", "steps": STEPS, **options}
    return run_stage(
        generator,
        Photos(
            source,
            range(len(source)),
            SamplerSource(generator, max(own, 1), 3, preset=PRESET),
            range(own),
            {"0.png": "bright"},
        ),
        InversionConfig(methods=methods, cuts=cuts, patched=patched, options=chosen),
        [resolve_inverter(name, chosen) for name in dict.fromkeys(methods)],
        run,
        segmenter=segmenter,
        preset=PRESET,
        store=InversionStore(store),
        on_bad=on_bad,
    )


def read_png(path: Path) -> Tensor:
    with Image.open(path) as image:
        return to_tensor(np.asarray(image))


def _check_record(record: InversionRecord, run: Path, generator: Generator) -> None:
    photo, again = read_png(run / record.photo), read_png(run / record.reconstruction)
    error = float((photo.double() - again.double()).square().mean())
    assert record.psnr == pytest.approx(10 * np.log10(4 / error), abs=0.05)
    assert record.photo_labels and record.reconstruction_labels and record.state and record.frames
    maps = [
        np.asarray(Image.open(run / p)) for p in (record.photo_labels, record.reconstruction_labels)
    ]
    for picture, labels in zip((photo, again), maps, strict=True):
        assert np.array_equal(LevelSegmenter().segment(picture[None])[0, 0].numpy(), labels)
    before, after = areas(np.stack(maps).astype(np.int64), 4)
    names = LevelSegmenter().vocabulary.names
    for c in record.classes:
        k = names.index(c.label)
        assert (c.photo_area, c.reconstruction_area) == (before[k], after[k])
        assert record.lost[c.label] == c.lost == pytest.approx((before[k] - after[k]) / before[k])
    assert {c.label for c in record.classes} == {names[k] for k in range(1, 4) if before[k] >= 0.25}
    stored = safetensors.torch.load_file(run / record.state)
    with torch.no_grad():
        image = generator.advance(State(record.cut, stored["r"], {})).x
    assert torch.allclose(image[0].clamp(-1, 1), again, atol=1.01 / 127.5)
    with Image.open(run / record.frames) as strip:
        assert strip.size == (SIZE * len(record.frame_steps), SIZE)
        first, last = (
            to_tensor(np.asarray(strip.crop((k * SIZE, 0, (k + 1) * SIZE, SIZE))))
            for k in (0, len(record.frame_steps) - 1)
        )
    assert record.frame_steps[0] == 0 and record.frame_steps[-1] == record.steps
    assert torch.allclose(last, again, atol=2.01 / 127.5)  # frames are kept in 16 bits
    assert not torch.equal(first, last)


def test_records_tell_of_the_pictures_they_name(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    found = stage(
        generator, folder, tmp_path / "run", tmp_path / "store", segmenter=LevelSegmenter()
    )
    assert sorted(r.image for r in found.records) == [f"{k}.png" for k in range(7)]
    gone = [sum(c.gone for c in r.classes if c.vanished) for r in found.records]
    assert gone == sorted(gone, reverse=True)  # ranked
    assert {r.label for r in found.vanishing} == {c.label for r in found.records for c in r.classes}
    assert all(r.photos <= 7 and r.in_samples is not None for r in found.vanishing)
    assert found.settings.drawn_by == "samples" and "-" not in found.settings.drawn
    for record in found.records:
        _check_record(record, tmp_path / "run", generator)
    assert {r.image: r.picked_for for r in found.records if r.picked_for} == {"0.png": "bright"}
    named = {
        path
        for r in found.records
        for path in (
            r.photo,
            r.photo_labels,
            r.reconstruction,
            r.reconstruction_labels,
            r.frames,
            r.state,
        )
    }
    lying = {f"inversions/{p.name}" for p in (tmp_path / "run/inversions").iterdir()}
    assert named == lying and len(lying) == 6 * 7
    assert found.settings.labels == ["-", "dark", "middle", "bright"]
    (record,) = found.calibrations
    assert (record.n, record.method, record.cut) == (20, "layered+r", "h4")
    assert record.z_correlation is None  # z is not what the method ends with
    assert record.r_correlation is not None and -1 <= record.r_correlation <= 1


@pytest.mark.slow
def test_own_images_calibrate_with_the_latents_they_were_made_of(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    """With enough steps from the true z, z, r and the pixels come back: correlations near 1."""
    found = stage(
        generator,
        folder,
        tmp_path / "run",
        tmp_path / "store",
        own=6,
        methods=("z",),
        steps=300,
        rate=0.1,
    )
    (record,) = found.calibrations
    assert record.z_correlation is not None and record.z_correlation > 0.8
    assert record.r_correlation is not None and record.r_correlation > 0.9
    assert record.pixel_correlation is not None and record.pixel_correlation > 0.9
    assert record.psnr >= record.psnr_low


def test_methods_and_cuts_each_give_records_and_a_calibration(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    found = stage(
        generator,
        folder,
        tmp_path / "run",
        tmp_path / "store",
        own=2,
        methods=("z", "layered+r", "z"),
        cuts=("h4", "second", "h8"),
    )
    expected = [(m, c) for c in ("h4", "h8") for m in ("z", "layered+r")]
    assert [(c.method, c.cut) for c in found.calibrations] == expected
    own = generator.boundary(generator.default_cut).name
    shown = sorted(expected, key=lambda pair: pair[1] == own)  # the usual cut last
    assert [(r.method, r.cut) for r in found.records[::7]] == shown
    assert len(found.records) == 4 * 7
    assert len({r.reconstruction for r in found.records}) == 4 * 7
    assert len({r.photo for r in found.records}) == 7
    assert all(r.photo_labels is None and r.classes == [] for r in found.records)  # no segmenter


def test_cuts(generator: AutoStaged) -> None:
    config = InversionConfig(methods=("layered+r",))
    assert cuts_of(generator, config) == ["h4", "h8"]  # its own cut, and the next resolution
    assert cuts_of(generator, config.model_copy(update={"cuts": ("all",)})) == ["h4", "h8"]
    assert cuts_of(generator, config.model_copy(update={"cuts": ("second", "h8")})) == ["h8"]
    with pytest.raises(
        UnknownNameError, match="no boundary named 'h16'; there are: h4, h8, image, input"
    ):
        cuts_of(generator, config.model_copy(update={"cuts": ("h16",)}))
    for end in ("input", "image"):
        with pytest.raises(UsageError, match="cut at one of: h4, h8"):
            method(cut=end).prepare(generator)
    short = AutoStaged(Painter(0, 2.0), {"h8": "second"}, latent=8)
    assert cuts_of(short, config) == ["h8"]
    with pytest.raises(UsageError, match="no resolution after its default cut, h8"):
        cuts_of(short, config.model_copy(update={"cuts": ("next",)}))


def test_two_cuts_unless_told_otherwise_for_methods_that_optimise_r(generator: AutoStaged) -> None:
    methods = [resolve_inverter(name) for name in ("z", "layered+r")]
    places = [
        [(cut, one.spec.name) for cut, one in methods_at(generator, methods, config)]
        for config in (InversionConfig(), InversionConfig(cuts=("h8", "h4")))
    ]
    assert places[0] == [("h4", "z"), ("h4", "layered+r"), ("h8", "layered+r")]
    assert places[1] == [(cut, name) for cut in ("h8", "h4") for name in ("z", "layered+r")]


def test_a_stage_without_run_directory_only_fills_the_store(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    found = stage(generator, folder, None, tmp_path / "store", own=3)
    assert found.records == [] and found.calibrations == []
    assert len(files(tmp_path / "store")) == 10
    stamps = files(tmp_path / "store")
    full = stage(generator, folder, tmp_path / "run", tmp_path / "store", own=3)
    assert files(tmp_path / "store") == stamps and len(full.records) == 7


def test_a_stage_names_what_it_skipped_or_fails(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 3)
    (folder / "1.png").write_text("no picture")
    Image.new("RGB", (SIZE, SIZE), "white").save(folder / "2.png")
    fragile = painter(limit=0.2)

    def run(**more: Any) -> StageResult:
        given = {"own": 0, "steps": 40, "rate": 0.3, **more}
        return stage(fragile, folder, tmp_path / "run", tmp_path / "store", **given)

    found = run()
    assert [r.image for r in found.records] == ["0.png"]
    assert [(s.source, s.item) for s in found.skipped] == [("photo", "1.png"), ("photo", "2.png")]
    assert found.calibrations == []
    with pytest.raises(ModelError, match=r"^1\.png: "):
        run(on_bad="fail")
    # A photo that cannot be read ends a run before the others are inverted.
    with pytest.raises(ModelError, match=r"^1\.png: "):
        run(on_bad="fail", steps=41)
    assert len(files(tmp_path / "store")) == len(found.records) + 1  # the one that gave NaN


def test_a_stage_prepares_each_method_at_each_cut_once(
    generator: AutoStaged, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[tuple[str, str]] = []
    prepare = LayerInverter.prepare

    def counted(self: LayerInverter, model: Generator) -> LayerPrepared:
        found = prepare(self, model)
        prepared.append((self.name, found.cut))
        return found

    monkeypatch.setattr(LayerInverter, "prepare", counted)
    stage(
        generator,
        folder,
        tmp_path / "run",
        tmp_path / "store",
        own=2,
        methods=("z", "layered+r"),
        cuts=("h4", "h8"),
    )
    assert prepared == [(m, c) for c in ("h4", "h8") for m in ("z", "layered+r")]


def test_settings_of_a_stage_are_plain_data(
    generator: AutoStaged, folder: Path, tmp_path: Path
) -> None:
    found = stage(generator, folder, tmp_path / "run", tmp_path / "store", own=1)
    assert found.settings.perceptual == "none" and found.warnings == []
    assert found.settings.options["steps"] == STEPS
    assert found.settings.encoders == []
    assert asdict(found)["settings"] == found.settings
    assert os.listdir(tmp_path / "run") == ["inversions"]


def test_an_inverter_of_before_the_contract_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``prepare`` gave a dict once; that is found before any image is inverted."""
    monkeypatch.setattr(LayerInverter, "prepare", lambda self, generator: {"cut": "h4"})
    chosen = InversionConfig(methods=("z",), cuts=("h4",))
    with pytest.raises(PluginError, match=r"z: prepare\(\) gave a dict; it must give a .*Prepared"):
        prepare_first_cut(painter(), [resolve_inverter("z")], chosen)


def test_equal_inversions_are_equal_files(generator: AutoStaged, tmp_path: Path) -> None:
    (one,) = _inversions(generator, 1)
    files = [write_inversion(tmp_path / str(k) / "one.safetensors", one) for k in range(12)]
    assert len({file.read_bytes() for file in files}) == 1
