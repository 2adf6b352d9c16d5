"""The documentation's page of groups, made from the YAMLs as `--help` is: `make docs` writes it."""

import sys
from collections.abc import Iterator
from pathlib import Path

from isogain.launch.config_groups import LAUNCHER, Choice, Group, Option, groups, root_options

HEAD = """\
# Groups, choices and options

This page is generated from `conf/`: `make docs` writes it anew, and a test compares the two. A *group* is a folder of
`conf/`, a *choice* is a file in it, and an *option* is a key in that file. `python train.py --help` prints the same
in a terminal, and `python train.py --help reg=manifold` shows the file of one choice.

On the command line a choice is `reg=manifold` and an option `reg.metric=canonical`. Values that are listed are the only
ones; every other value is checked when the run starts, and a mistake is answered with a line that names the key."""


def page(conf: Path) -> str:
    """The whole page, as Markdown."""
    parts = [HEAD, *map(_section, groups([conf])), _root(root_options(conf))]
    return "\n\n".join(parts) + "\n"


def _section(group: Group) -> str:
    rows = (_row(group, choice) for choice in group.choices)
    table = _table(("choice", "what it is", "options"), rows)
    default = f" The default is `{group.default}`." if group.default else ""
    return f"## `{group.name}`\n\n{_as_sentence(group.sentence)}{default}\n\n{table}"


def _row(group: Group, choice: Choice) -> tuple[str, str, str]:
    bases = [f"those of `{base}`" for base in choice.base]
    options = "" if group.name == "experiment" else ", ".join(map(_option, choice.options))
    return f"`{choice.name}`", choice.sentence, "; ".join(filter(None, (options, *bases)))


def _option(option: Option) -> str:
    values = option.values.replace("|", ", ")
    return f"`{option.name.removeprefix(LAUNCHER)}`" + (f" ({values})" if values else "")


def _root(options: tuple[Option, ...]) -> str:
    rows = ((f"`{option.name}`", option.remark) for option in options)
    return f"## The run itself\n\n{_table(('option', 'what it is'), rows)}"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in cells
    )


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


if __name__ == "__main__":
    conf, target = map(Path, sys.argv[1:])
    target.write_text(page(conf))
