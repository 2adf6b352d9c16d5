"""The floors of docs/architecture.md: what each room of src may import, and what the science floor stays free of."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
PAGE = SRC.parent / "docs" / "architecture.md"
FLOORS = {
    "lazy": 0,
    **{"config": 1, "linalg": 1, "activations": 1, "schedules": 1},
    **{"theory": 2, "reg": 2, "data": 2, "record": 2, "init": 3, "analysis": 3},
    **{"models": 4, "tracking": 4, "optim": 5, "diagnostics": 5, "training": 6},
    **{"testing": 6, "callbacks": 7},
    **{"launch": 8, "hydra_plugins": 9},
}
SCIENCE = "linalg activations schedules theory reg init models optim diagnostics testing".split()
HEAVY = {
    "lightning",
    "pytorch_lightning",
    "lightning_fabric",
    "hydra",
    "omegaconf",
    "wandb",
    "pandas",
}
# `python -m isogain.X`, kept for the commands of old notebooks and scripts: they import what they start
SHIMS = {"__main__", "status", "results", "plots", "board", "sync", "dashboard", "theory.__main__"}
# a diagnostic shares its name with its callback and its figure, a network with the derivatives of its steps, and each
# room has its base class
SHARED = {
    *{"__init__", "__main__", "base", "mlp", "rnn", "lstm"},
    *{"fisher", "gradients", "jacobian", "signals", "weights", "factors"},
}


def module_of(path: Path) -> str:
    """The dotted name of a file of src/, without isogain."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "isogain" else parts)


def room_of(module: str) -> str:
    return module.partition(".")[0]


SOURCES = {module_of(path): path for path in sorted(SRC.rglob("*.py"))}


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, without what only a type checker reads."""
    yield node
    only_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in node.orelse if only_types else ast.iter_child_nodes(node):
        yield from executed(child)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each import of ours; without isogain."""
    for node in executed(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(("isogain.", "hydra_plugins.isogain.")):
                yield node.lineno, name.removeprefix("isogain.")


def climbs(module: str, text: str) -> list[str]:
    """A line for each import of a module with this text that leads to its own floor or a higher one."""
    own = room_of(module)
    return [
        f"{module}:{line} imports {name}: floor {FLOORS[own]} may not use floor {FLOORS[room]}"
        for line, name in imports(ast.parse(text))
        if (room := room_of(name)) != own and room in FLOORS and FLOORS[room] >= FLOORS[own]
    ]


def test_every_module_lies_in_a_room_or_is_a_shim():
    loose = {room_of(m) for m in SOURCES} - {"__init__"} - FLOORS.keys()
    assert loose <= SHIMS


def test_the_page_shows_the_floors_that_hold():
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| .+ \|$", PAGE.read_text(), re.M)
    assert {room: int(floor) for floor, room in rows} == FLOORS


def test_a_room_imports_only_rooms_of_lower_floors():
    inside = {m: p for m, p in SOURCES.items() if room_of(m) in FLOORS and m not in SHIMS}
    assert [line for m, p in inside.items() for line in climbs(m, p.read_text())] == []


@pytest.mark.parametrize(
    "text",
    ["import isogain.launch.hydra_job", "def f():\n    from isogain.record import folder_walk"],
)
def test_an_import_that_climbs_is_named_with_its_line(text):
    (line,) = climbs("reg.penalty", text)
    assert line.startswith(f"reg.penalty:{text.count(chr(10)) + 1} imports ")


def test_importing_the_science_floor_loads_torch_and_nothing_of_the_framework():
    modules = [m for m in SOURCES if room_of(m) in SCIENCE and m not in SHIMS]
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(modules)}:\n"
        "    importlib.import_module('isogain.' + name.removesuffix('.__init__'))\n"
        f"    loaded = {HEAVY} & set(sys.modules)\n"
        "    assert not loaded, f'importing isogain.{name} loads {loaded}'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_two_modules_share_a_name():
    places = defaultdict(list)
    for module in SOURCES.keys() - SHIMS:
        places[module.rpartition(".")[2]].append(module)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice.keys() <= SHARED, twice


def test_no_private_idiom_stands_where_a_word_of_the_field_could():
    """FileNotFoundError has no such part of snake_case; torch's own `_found_inf_per_device` is not ours to rename."""
    word = re.compile(r"(?:\b|_)(told|said|found)(?:\b|_)", re.I)
    texts = [path for path in SRC.rglob("*") if path.suffix in {".py", ".js", ".html", ".css"}]
    hits = [
        f"{path.relative_to(SRC)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if word.search(line.replace("_found_inf_per_device", ""))
    ]
    assert hits == []


def test_every_room_says_in_its_first_sentence_what_it_holds():
    for module, path in SOURCES.items():
        if module.endswith("__init__"):
            first, *more = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
            assert first.endswith((".", "`")) and not any(more[:1]), module
