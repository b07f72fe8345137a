"""The order of the rooms, kept: read from the syntax trees, without importing the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers.imports import Import, Tree, circles, code_words

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "seeingkit": ROOT / "seeingkit",
    "seeingkit_adapters": ROOT / "adapters",
    "seeingkit_plugins": ROOT / "plugins",
}
ORDER = (
    "errors",
    "specs",
    "hooks",  # the former home of the hook, for plugins
    "system",
    "results",
    "contracts",
    "weights",
    "report",
    "models",
    "images",
    "tallies",
    "statistics",
    "analyses",
    "runs",
    "suites",
    "viewing",
    "editing",
    "cli",
)
"""The rooms of ``seeingkit/``: each imports only from those before it."""
TESTING = "testing"  # beside images, and for plugins: no other room imports it
RANKS = {room: rank for rank, room in enumerate(ORDER)} | {TESTING: ORDER.index("images")}
DOORS = ("", "__main__")  # `seeingkit` itself and the command line: they open every room
FILES = {"__init__.py", "__main__.py", "py.typed", "errors.py", "hooks.py", "specs.py"}
CLOSED_TO_PLUGINS = ("runs", "suites", "viewing", "editing", "cli")
FAMILY_SPECS = ("GanSpec", "GanGroupSpec", "SegmenterSpec", "FeaturesSpec", "MetricSpec")
PLAIN_WORDS = ("module", "fidelity", "transformers", "ade20k")
"""Names of families that mean something else in the engine: a module, fidelity metrics, an extra,
a data set whose classes a vocabulary has.
"""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def upward(tree: Tree) -> list[str]:
    """Imports of the engine that lead to a later room, into a door, or into ``testing``."""
    return [
        str(found)
        for found in tree.imports
        if found.importer.split(".")[0] == "seeingkit" == found.imported.split(".")[0]
        and room(found.importer) not in DOORS
        and room(found.importer) != room(found.imported)
        and not _before(room(found.imported), room(found.importer))
    ]


def _before(imported: str, importer: str) -> bool:
    if imported in DOORS or imported == TESTING:
        return False
    return RANKS.get(imported, len(ORDER)) < RANKS.get(importer, -1)


def across(tree: Tree) -> list[str]:
    """Imports between the engine, the adapters and the plugins that must not be."""

    def forbidden(found: Import) -> bool:
        own, other = found.importer.split(".")[0], found.imported.split(".")[0]
        if own == "seeingkit":
            return other != own
        if other == "seeingkit":
            return room(found.imported) in (*DOORS, *CLOSED_TO_PLUGINS)
        return (own, other) == ("seeingkit_adapters", "seeingkit_plugins")

    return [str(found) for found in tree.imports if forbidden(found)]


def in_circles(tree: Tree) -> list[str]:
    """The imports of each circle, with a line between circles."""
    return ["\n".join(map(str, circle)) + "\n" for circle in circles(tree.imports)]


def unplanned(folder: Path) -> list[str]:
    """Entries of the top folder that are no room, and rooms that are not there."""
    there = {
        path.name: path.is_file() or (path / "__init__.py").is_file()
        for path in folder.iterdir()
        if path.name != "__pycache__"
    }
    wanted = FILES | {name for name in RANKS if f"{name}.py" not in FILES}
    return [
        *(f"{folder / name}: not in the order of rooms" for name in sorted(set(there) - wanted)),
        *(f"{folder / name}: missing" for name in sorted(wanted) if not there.get(name)),
    ]


def families(tree: Tree) -> set[str]:
    """Names and aliases of the model families that adapters and plugins register."""
    return {
        name
        for module in tree.trees
        if not module.startswith("seeingkit.")
        for call in ast.walk(tree.trees[module])
        if isinstance(call, ast.Call) and ast.unparse(call.func) in FAMILY_SPECS
        for keyword in call.keywords
        if keyword.arg in ("name", "aliases")
        for name in _strings(keyword.value)
    }


def _strings(value: ast.expr) -> list[str]:
    found = ast.literal_eval(value)
    return [found] if isinstance(found, str) else list(found)


def as_words(names: set[str]) -> re.Pattern[str]:
    """Finds any of the names that is not part of a longer word; ``_`` and digits end a word."""
    return re.compile(rf"(?<![a-z])({'|'.join(map(re.escape, sorted(names)))})(?![a-z])", re.I)


def named_families(tree: Tree, names: set[str]) -> list[str]:
    """Code of the engine that names a model family (docstrings may, as examples)."""
    word = as_words(names)
    return [
        f"{tree.paths[module]}:{line}: {text!r} names a model family"
        for module, parsed in tree.trees.items()
        if module.split(".")[0] == "seeingkit"
        for line, text in code_words(parsed)
        if word.search(text)
    ]


@pytest.fixture(scope="module")
def house() -> Tree:
    return Tree(FOLDERS)


def test_the_top_folder_holds_the_rooms_and_nothing_else() -> None:
    assert not (faults := unplanned(FOLDERS["seeingkit"])), "\n".join(faults)


def test_a_room_imports_only_from_rooms_before_it(house: Tree) -> None:
    assert not (faults := upward(house)), "\n".join(faults)


def test_engine_adapters_and_plugins_stay_apart(house: Tree) -> None:
    assert not (faults := across(house)), "\n".join(faults)


def test_no_modules_import_each_other_in_a_circle(house: Tree) -> None:
    assert not (faults := in_circles(house)), "\n".join(faults)


def test_the_engine_names_no_model_family(house: Tree) -> None:
    names = families(house) - set(PLAIN_WORDS)
    assert {"progan", "stylegan2", "upernet", "vgg16"} <= names
    assert not (faults := named_families(house, names)), "\n".join(faults)


def test_templates_and_tables_of_the_engine_name_no_model_family(house: Tree) -> None:
    word = as_words(families(house) - set(PLAIN_WORDS))
    for path in FOLDERS["seeingkit"].rglob("*.*"):
        if path.suffix in (".j2", ".js", ".css", ".toml"):
            assert not word.findall(path.read_text(encoding="utf-8")), path


# ------------------------------------------------------------- the rules above, on made-up trees


def made_up(folder: Path, files: Mapping[str, str]) -> Tree:
    """A tree of these files, with an ``__init__.py`` in every folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folders = {name: folder / name for name in FOLDERS}
    for top in folders.values():
        for inside in (top, *top.rglob("*")):
            if inside.is_dir() or inside == top:
                inside.mkdir(exist_ok=True)
                (inside / "__init__.py").touch()
    return Tree(folders)


LAZY = '_WHERE = {"Tally": "table"}\n'


@pytest.mark.parametrize(
    ("importer", "statement", "fault"),
    [
        ("models/a.py", "from seeingkit.contracts import X", False),
        ("models/a.py", "from .b import X", False),
        ("models/a.py", "from seeingkit.images import X", True),
        ("models/a.py", "def f():\n    from seeingkit.images.b import X", True),
        ("models/a.py", "if TYPE_CHECKING:\n    from ..images import X", True),
        ("models/a.py", "import seeingkit.images.b as b", True),
        ("models/deep/a.py", "from ...images.b import X", True),
        ("models/deep/__init__.py", "from ..b import X", False),
        ("models/deep/__init__.py", "from ...images import X", True),
        ("models/a.py", "from seeingkit import images", True),
        ("models/a.py", "from seeingkit import contracts", False),
        ("models/a.py", "import seeingkit", True),
        ("images/a.py", "from seeingkit.testing import X", True),
        ("cli/a.py", "from seeingkit.testing import X", True),
        ("testing/a.py", "from seeingkit.models.b import X", False),
        ("testing/a.py", "from seeingkit.images.b import X", True),
        ("analyses/a.py", "from seeingkit.tallies import Tally", False),
        ("images/a.py", "from seeingkit.tallies import Tally", True),
        ("attic/a.py", "from seeingkit.errors import X", True),
        ("models/a.py", "from seeingkit.attic import X", True),
        ("__main__.py", "from .runs import X", False),
        ("__init__.py", "from .runs import X", False),
        ("errors.py", "from .specs import X", True),
        ("specs.py", "from .errors import X", False),
    ],
)
def test_upward_imports_are_found(
    tmp_path: Path, importer: str, statement: str, fault: bool
) -> None:
    rooms = [name for name in (*RANKS, "attic") if f"{name}.py" not in FILES]
    files = {
        **{f"seeingkit/{name}/b.py": "" for name in rooms},
        "seeingkit/errors.py": "",
        "seeingkit/specs.py": "",
        "seeingkit/tallies/__init__.py": LAZY,
        "seeingkit/tallies/table.py": "",
        f"seeingkit/{importer}": f"# first line\n{statement}\n",
    }
    faults = upward(made_up(tmp_path, files))
    assert len(faults) == fault
    if fault:
        line = 1 + len(statement.splitlines())
        assert f"seeingkit/{importer}:{line}: " in faults[0]
        assert statement.splitlines()[-1].strip() in faults[0]


@pytest.mark.parametrize(
    ("importer", "statement", "fault"),
    [
        ("seeingkit/models/a.py", "from seeingkit_adapters.b import X", True),
        ("seeingkit/models/a.py", "def f():\n    import seeingkit_plugins.b", True),
        ("seeingkit_adapters/a.py", "from seeingkit.models.b import X", False),
        ("seeingkit_adapters/a.py", "from seeingkit.runs.b import X", True),
        ("seeingkit_adapters/a.py", "from seeingkit import run", True),
        ("seeingkit_adapters/a.py", "from seeingkit_plugins.b import X", True),
        ("seeingkit_plugins/a.py", "from seeingkit_adapters.b import X", False),
        ("seeingkit_plugins/a.py", "from seeingkit.cli.b import X", True),
    ],
)
def test_imports_across_are_found(
    tmp_path: Path, importer: str, statement: str, fault: bool
) -> None:
    others = ("seeingkit/models", "seeingkit/runs", "seeingkit/cli", *list(FOLDERS)[1:])
    files = {f"{folder}/b.py": "" for folder in others} | {importer: statement}
    faults = across(made_up(tmp_path, files))
    assert len(faults) == fault
    assert not fault or importer in faults[0]


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": "from .b import X", "b": "from .c import X", "c": ""}, set()),
        ({"a": "from .b import X", "b": "def f():\n    from .a import X"}, {"a", "b"}),
        ({"a": "from .b import X", "b": "from . import c", "c": "from . import a"}, set("abc")),
        ({"__init__": "from .a import X", "a": "from .b import X", "b": ""}, set()),
        ({"__init__": "from .a import X", "a": "from .b import X", "b": "from . import X"}, None),
        (
            {"__init__": LAZY, "table": "from .b import X", "b": "from . import Tally"},
            {"table", "b"},
        ),
        ({"__init__": LAZY, "table": "", "b": "from . import Tally"}, set()),
    ],
)
def test_circles_are_found(tmp_path: Path, files: dict[str, str], circle: set[str] | None) -> None:
    room = {f"seeingkit/room/{name}.py": text for name, text in files.items()}
    found = circles(made_up(tmp_path, room).imports)
    if circle is None:  # with the package itself
        names = {"seeingkit.room", "seeingkit.room.a", "seeingkit.room.b"}
    else:
        names = {f"seeingkit.room.{name}" for name in circle}
    assert {one.importer for group in found for one in group} == names
    assert len(found) == bool(names)


def test_unplanned_entries_are_found(tmp_path: Path) -> None:
    for name in RANKS:
        if f"{name}.py" not in FILES:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").touch()
    for name in FILES:
        (tmp_path / name).touch()
    (tmp_path / "__pycache__").mkdir()
    assert unplanned(tmp_path) == []
    (tmp_path / "helpers.py").touch()
    (tmp_path / "attic").mkdir()
    (tmp_path / "images" / "__init__.py").unlink()
    (tmp_path / "hooks.py").unlink()
    assert [Path(fault.split(":")[0]).name for fault in unplanned(tmp_path)] == [
        "attic",
        "helpers.py",
        "hooks.py",
        "images",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('def f():\n    """As in mygan."""  # mygan', False),
        ("x = 1\nif family == 'mygan':\n    pass", True),
        ("x = 1\nprint(f'{x} MyGAN networks')", True),
        ("x = 1\ndef load_mygan():\n    pass", True),
        ("def f():\n    return mygan_names", True),
        ("x = 'demygans'", False),
    ],
)
def test_names_of_families_are_found(tmp_path: Path, text: str, fault: bool) -> None:
    catalog = "register(GanSpec(name='mygan', aliases=('mg',), target='a:b'))"
    tree = made_up(
        tmp_path, {"seeingkit_adapters/catalog.py": catalog, "seeingkit/models/a.py": text}
    )
    assert families(tree) == {"mygan", "mg"}
    faults = named_families(tree, families(tree))
    assert len(faults) == fault
    assert not fault or "models/a.py:2: " in faults[0]
