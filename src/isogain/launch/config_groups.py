"""The groups of conf/ as their YAMLs describe them: choices, options, and the sentence that each begins with."""

import importlib.resources
import re
from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GLOBAL = "# @package _global_"
LAUNCHER = (
    "hydra.launcher."  # of a YAML for the whole config, what lies here are options of its own
)


class Option(NamedTuple):
    """A key that a user may set, below its group; `remark` is the comment beside it."""

    name: str
    remark: str = ""

    @property
    def values(self) -> str:
        """`sum|mean` where the comment lists what there is, `# sum | mean`; else nothing."""
        listed = self.remark.partition(";")[0].split(" | ")
        return "|".join(value.strip() for value in listed) if len(listed) > 1 else ""


class Choice(NamedTuple):
    """A YAML of a group: its name in the group, its first comment, its options, its text, and what it builds on."""

    name: str
    sentence: str
    options: tuple[Option, ...]
    base: tuple[str, ...]
    text: str


class Group(NamedTuple):
    """A folder of conf/: the default choice ("" where there is none) comes first."""

    name: str
    sentence: str
    default: str
    choices: tuple[Choice, ...]


def folder_of(schema: str, path: str) -> Traversable | None:
    """The folder of a source of Hydra's search path: `file` and a path, or `pkg` and a package; None without one."""
    try:
        folder = Path(path) if schema == "file" else importlib.resources.files(path)
    except (ImportError, ValueError):  # Hydra warns of it, or it is no folder: `structured`
        return None
    return folder if folder.is_dir() else None


def groups(folders: Iterable[Traversable], root: str = "train.yaml") -> list[Group]:
    """Every group of these folders, in the order of the root config's defaults; the rest by name.

    Where two folders have a choice of one name, the first has it, as with Hydra.
    """
    folders = list(folders)
    defaults = _defaults(next((f / root).read_text() for f in folders if (f / root).is_file()))
    names = dict.fromkeys([*defaults, *sorted(set().union(*map(_names, folders)))])
    return [_group(name, *defaults.get(name, ("", "")), folders) for name in names]


def root_options(folder: Traversable, root: str = "train.yaml") -> tuple[Option, ...]:
    """What a user may set in the root config itself: `seed`, `trainer.max_epochs`, and so on."""
    return choice("", (folder / root).read_text()).options


def choice(name: str, text: str) -> Choice:
    """What a YAML has to show of itself; nothing but its text where it is none."""
    try:
        node, lines = yaml.compose(text, Loader=LOADER), text.splitlines()
    except yaml.YAMLError:
        return Choice(name, "This file is no valid YAML.", (), (), text)
    options = list(_options(node, lines)) if isinstance(node, yaml.MappingNode) else []
    if GLOBAL in lines:
        options = [option for option in options if option.name.startswith(LAUNCHER)]
    else:
        options = [option for option in options if not option.name.startswith("hydra.")]
    return Choice(name, _sentence(lines), tuple(options), tuple(_bases(node)), text)


def _names(folder: Traversable) -> set[str]:
    """Groups are folders; those of Hydra's own part are one level further down."""
    below = {f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith(("_", "."))}
    ours = {f"hydra/{f.name}" for f in (folder / "hydra").iterdir()} if "hydra" in below else set()
    return {name for name in below - {"hydra"} | ours if any(_yamls(folder.joinpath(name)))}


def _yamls(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Name and file of every choice, those of its folders included."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _yamls(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml"), entry


def _group(name: str, default: str, sentence: str, folders: list[Traversable]) -> Group:
    files: dict[str, Traversable] = {}
    for folder in (f.joinpath(name) for f in folders):
        files = dict(_yamls(folder) if folder.is_dir() else ()) | files
    ordered = sorted(files, key=lambda choice: (choice != default, choice))
    sentence = sentence or f"the options are {name.replace('/', '.')}.OPTION"
    return Group(name, sentence, default, tuple(choice(c, files[c].read_text()) for c in ordered))


def _defaults(text: str) -> dict[str, tuple[str, str]]:
    """Default and remark of each group in the root's list of defaults."""
    lines, defaults = text.splitlines(), {}
    for key, value in yaml.compose(text, Loader=LOADER).value:
        for item in value.value if key.value == "defaults" else ():
            if isinstance(item, yaml.MappingNode):
                ((group, default),) = item.value
                null = default.tag.endswith(":null")
                remark = _remark(default, lines)
                defaults[group.value.split()[-1]] = ("" if null else default.value, remark)
    return defaults


def _bases(node: yaml.Node | None) -> Iterator[str]:
    """Names in the list of defaults of a choice: their options are its own too."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        for item in value.value if key.value == "defaults" else ():
            if isinstance(item, yaml.ScalarNode) and item.value != "_self_":
                yield item.value.partition("@")[0].rpartition("/")[2]


def _options(node: yaml.MappingNode, lines: list[str], above: str = "") -> Iterator[Option]:
    for key, value in node.value:
        if key.value.startswith("_") or (key.value == "defaults" and not above):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            below = list(_options(value, lines, f"{above}{key.value}."))
            yield from below or [Option(above + key.value)]
        else:
            at = key if isinstance(value, yaml.CollectionNode) and not value.flow_style else value
            yield Option(above + key.value, _remark(at, lines))


def _remark(node: yaml.Node, lines: list[str]) -> str:
    """The comment that follows on the node's last line."""
    if node.end_mark.line >= len(lines):
        return ""
    remark = re.match(r":?\s+#\s*(.*)", lines[node.end_mark.line][node.end_mark.column :])
    return remark[1] if remark else ""


def _sentence(lines: list[str]) -> str:
    """The first comment of the head of a file, but for what is meant for Hydra."""
    for line in lines:
        if not line.startswith("#"):
            return ""
        if line.strip("# ") and not line.startswith("# @"):
            return line.strip("# ")
    return ""
