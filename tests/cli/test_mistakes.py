"""The likeliest mistakes, and the one line that answers each; nothing long is begun for any."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import command, pictures

SEGMENTERS = (
    "which segmenter? Own images have no default, for it must know the classes in them; published "
    "ones: --segmenter upernet:upp (Unified Perceptual Parsing (Xiao et al. 2018), ResNet-50, 336 "
    "objects: the paper's segmenter; download: size unknown) or semseg:ade20k-hrnetv2 (hrnetv2 on "
    "ADE20K, 150 classes, of semantic-segmentation-pytorch; download: size unknown), 6 more of its "
    "kind; with --segmenter-weights FILE or FOLDER of your own: espnet, espnetv2, transformers; "
    "upernet:minichurches knows minichurches alone; see 'seeingkit ls segmenters'"
)
QUOTES = "put a pattern such as '*.png' in quotes, or the shell replaces it by its files"

MISTAKES = [
    (
        "analyze --gan progn",
        2,
        "no gan named 'progn'; did you mean 'progan' or 'stargan' or 'mlp-gan'?",
    ),
    (
        "analyze --num-images 100",
        2,
        "no option --num-images; did you mean '--n'? (see 'seeingkit analyze -h')",
    ),
    (
        "analyze --dataset photos",
        2,
        "no option --dataset; did you mean '--data'? (see 'seeingkit analyze -h')",
    ),
    (
        "analyze --gpu 0",
        2,
        "no option --gpu; did you mean '--device'? (see 'seeingkit analyze -h')",
    ),
    (
        "analyze --output runs/x --seg upernet",
        2,
        "no option --output; did you mean '--out'?; no option --seg; did you mean '--segmenter'? "
        "(see 'seeingkit analyze -h')",
    ),
    ("analyse", 2, "no command 'analyse'; did you mean 'analyze'? (see 'seeingkit -h')"),
    ("ls gan", 2, "no group named 'gan'; did you mean 'gans'?"),
    ("ls models", 2, "no group named 'models'; did you mean 'gans'?"),
    ("analyze --gan progan:minichurches --data photos", 2, SEGMENTERS),
    (
        "analyze --gan progan:minichurches --data phots",
        1,
        "no such path: phots, and no data set (see 'seeingkit ls data')",
    ),
    ("compare photos", 2, "name the generated images: seeingkit compare REAL GENERATED"),
    (
        "compare --data photos --gan progan",
        2,
        "no option --data; give the images as arguments: compare REAL GENERATED; no option --gan; "
        "give the images as arguments: compare REAL GENERATED (see 'seeingkit compare -h')",
    ),
    (
        "compare photos/0.png photos/1.png photos/2.png",
        2,
        f"photos/0.png and 2 more are single pictures, not sets of images; {QUOTES}",
    ),
    (
        "tally photos/0.png photos/1.png photos/2.png",
        2,
        f"tally: 2 arguments too many: photos/1.png photos/2.png; {QUOTES} "
        "(see 'seeingkit tally -h')",
    ),
    (
        "invert broken.jpg",
        1,
        "no photo could be inverted; the first: broken.jpg: not an image in a known format, or "
        "damaged at its start",
    ),
    (
        "report photos",
        1,
        "photos: not a run, for it holds no results.json; name a run directory, as runs/…",
    ),
    (
        "analyze --weights missing.pkl --segmenter-weights no.pth",
        1,
        "missing.pkl: no such weights file or folder; check --weights; no.pth: no such weights "
        "file or folder; check --segmenter-weights",
    ),
    (
        "analyze --gan progn --segmenter upernett --preset paper256 --n 1",
        2,
        "4 faults: (1) --n: input should be greater than or equal to 2; (2) no gan named 'progn'; "
        "did you mean 'progan' or 'stargan' or 'mlp-gan'?; (3) no segmenter named 'upernett'; did "
        "you mean 'upernet' or 'espnet' or 'espnetv2'?; (4) no preset named 'paper256'; did you "
        "mean 'paper'?",
    ),
    (
        "analyze --device cuda:99",
        2,
        "device 'cuda:99' is not on this machine; use --device cpu or auto",
    ),
    (
        "tally photos --segmenter upernet:minichurches --n 99",
        2,
        "photos has 3 images, fewer than the 99 asked for; ask for --n 3 or add images",
    ),
    (
        "invert photos --perceptual vgg --encoder no.safetensors",
        2,
        "2 faults: (1) no features named 'vgg'; did you mean 'vgg16'?; (2) no.safetensors: no such "
        "encoder file; check --encoder, or give one of auto, found, train, none",
    ),
    (
        "compare photos more --paired --segmenter upernet:minichurches",
        1,
        "images without a partner of the same name: 2 generated (3.png, 4.png); give both sides "
        "the same names, or leave these out with --force",
    ),
    ("invert", 2, "name at least one photo, folder or glob"),
    (
        "download progan:church",
        2,
        "no command 'download'; did you mean 'weights fetch'? (see 'seeingkit -h')",
    ),
    (
        "analyze --out photos",
        1,
        "photos: is not empty and holds no run; choose another --out",
    ),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures, one of five, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("mistakes")
    pictures(folder / "photos", 3, 0)
    pictures(folder / "more", 5, 0)
    (folder / "broken.jpg").write_text("not a picture")
    return folder


@pytest.mark.parametrize(("words", "code", "line"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_answered_by_one_line(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path))
    answer = command(*words.split(), capsys=capsys, monkeypatch=monkeypatch)
    assert answer == (code, "", f"seeingkit: {line}\n")
    assert sorted(path.name for path in place.iterdir()) == ["broken.jpg", "more", "photos"]
