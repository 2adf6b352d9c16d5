"""What the Markdown pages show a reader: code blocks, inline code, tables, as plain data."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "results" / "README.md"]
INDENT = "    "


class Block(NamedTuple):
    """A code block: its page, the line it begins at, the language of its fence ("" where it is indented)."""

    page: str
    line: int
    language: str
    text: str


class Command(NamedTuple):
    """A command line, split as a shell does it; `of` is the page it stands on, of a block also the line."""

    of: str
    words: tuple[str, ...]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """Fenced and indented code blocks, in order."""
    lines = page.read_text().splitlines()
    start, language, kept = 0, None, []
    for i, line in enumerate([*lines, "end"], 1):
        fence = line.startswith("```")
        if language is None and fence:
            start, language = i, line.removeprefix("```")
        elif language is not None and fence and language != INDENT:
            yield Block(name(page), start, language, "\n".join(kept))
            language, kept = None, []
        elif language is None and line.startswith(INDENT) and not lines[i - 2].strip():
            start, language, kept = i, INDENT, [line.removeprefix(INDENT)]
        elif language == INDENT and line.strip() and not line.startswith(INDENT):
            yield Block(name(page), start, "", "\n".join(kept).rstrip())
            language, kept = None, []
        elif language is not None:
            kept.append(line.removeprefix(INDENT) if language == INDENT else line)


def run(block: Block, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that a block of Python defines; one that shows a file of src/ can be imported while the patch lasts."""
    file = re.match(r"# src/(.+)\.py\n", block.text)
    module = ModuleType(file[1].replace("/", ".") if file else "example")
    exec(block.text, module.__dict__)
    if file:
        room, _, leaf = module.__name__.rpartition(".")
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(sys.modules[room], leaf, module, raising=False)
    return module.__dict__


def shown_configs(page: Path) -> dict[str, str]:
    """The files of conf/ that a page has a reader write: `reg/coherence` -> YAML."""
    files = (re.match(r"# conf/(.+)\.yaml\n", block.text) for block in blocks(page))
    return {file[1]: file.string for file in files if file}


def prose(page: Path) -> str:
    """The page without its code blocks, one line a paragraph or row."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\n\n(?: {4}.*\n|\n(?= {4}))+", "\n\n", text)


def inline(page: Path) -> list[str]:
    """What stands between backticks, a line break as the space that it is."""
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def lines(block: Block) -> Iterator[str]:
    """The command lines of a block; of a transcript those that a prompt precedes."""
    joined = re.sub(r"\s*\\\n\s*", " ", block.text).splitlines()
    prompted = [line[2:] for line in joined if line.startswith("$ ")]
    yield from prompted or joined


def command(of: str, line: str) -> Command | None:
    """The command that a line is, where it begins with a program that pages speak of."""
    if not re.match(r"(python|pip|make|pytest) ", line):
        return None
    words = shlex.split(line, comments=True)
    return Command(of, tuple(words[: words.index("|")] if "|" in words else words))


def commands(page: Path) -> list[Command]:
    """Every command of a page, from blocks first, then from sentences and tables."""
    shown = [(f"{b.page}:{b.line}", line) for b in blocks(page) for line in lines(b)]
    shown += [(name(page), code) for code in inline(page)]
    return [made for of, line in shown if (made := command(of, line))]


def rows(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text: a list of rows each, of stripped cells, without the rule."""
    tables, rule = [[]], re.compile(r"^\|[\s:|-]+\|$")
    for line in text.splitlines():
        if not line.startswith("|"):
            tables.append([])
        elif not rule.match(line):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return [table for table in tables if table]
