"""What `python train.py --help` prints: made from the YAMLs on Hydra's search path, a user's own among them."""

import textwrap
from collections.abc import Iterable, Iterator

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from isogain.launch.config_groups import (
    LAUNCHER,
    Choice,
    Group,
    Option,
    folder_of,
    groups,
    root_options,
)

WIDTH = 100
HEAD = """\
Trains one network and measures its isometry: python train.py group=choice ... option=value ...
With -m (first), a sweep over values:         python train.py -m init.gain=0.9,1,1.1 seed=0,1,2

* is the default; a line that begins with dots lists options, a|b the values of one."""
TAIL = """\
+trainer.OPTION=value        passes on another option of Lightning's Trainer
resume=true out=FOLDER       goes on where the run in FOLDER was cut off
--help group=choice          shows that choice's file: every option with its default and a remark
--cfg job                    shows the composed config; with --resolve every value is filled in
--hydra-help                 shows Hydra's flags; --config-dir DIR adds a folder of your choices

python train.py --help reg=manifold
python train.py model=lstm reg=manifold init.gain=1.02 data.order=permuted trainer.max_epochs=20
python train.py -m experiment=depth_gain cluster=local"""


def help_text() -> str:
    """The help, as a template of Hydra's: every $ is doubled."""
    hydra = HydraConfig.get()
    sources = [source for source in hydra.runtime.config_sources if source.provider != "hydra"]
    folders = [folder for s in sources if (folder := folder_of(s.schema, s.path))]
    root = f"{hydra.job.config_name.removesuffix('.yaml')}.yaml"
    all_groups = groups(folders, root)
    overrides = dict(o.lstrip("+").split("=", 1) for o in hydra.overrides.task if "=" in o)
    chosen = [(g, c) for g in all_groups for c in g.choices if overrides.get(g.name) == c.name]
    home = next(folder for folder in folders if (folder / root).is_file())
    text = (
        "\n\n".join(_file(group, choice) for group, choice in chosen)
        if chosen
        else "\n".join(lines(all_groups, root_options(home, root)))
    )
    return text.replace("$", "$$")


def lines(all_groups: Iterable[Group], root: Iterable[Option]) -> Iterator[str]:
    """The whole of it: usage, a block a group, the options of the root config, examples."""
    yield HEAD
    for group in all_groups:
        yield from ("", *_block(group))
    trainer = [Option(o.name[8:], o.remark) for o in root if o.name.startswith("trainer.")]
    yield from ("", "trainer      Lightning's Trainer", *_wrapped(_names(trainer), "  ... "))
    yield ""
    for option in (option for option in root if "." not in option.name):
        yield from _wrapped(option.remark, f"{option.name:<13}")
    yield from ("", TAIL)


def _file(group: Group, choice: Choice) -> str:
    return f"{group.name}={choice.name}\n\n{textwrap.indent(choice.text.rstrip(), '  ')}"


def _block(group: Group) -> Iterator[str]:
    yield from _wrapped(group.sentence, f"{group.name:<12} ")
    alone = [choice for choice in group.choices if "/" not in choice.name]
    width = max([10, *(len(choice.name) for choice in alone)])
    for choice in alone:
        mark = "*" if choice.name == group.default else " "
        below = variants(group, choice.name)
        also = f" Also {', '.join(f'/{name}' for name in below)}." if below else ""
        yield from _wrapped(choice.sentence + also, f"{mark} {choice.name:<{width}} ")
    for folder in folders_alone(group):
        names = ", ".join(variants(group, folder))
        yield from _wrapped(names, f"  {folder + '/':<{width}} ")
    for names, options in shared_options(group):
        yield from _wrapped(": ".join(filter(None, (names, _names(options)))), "  ... ")


def variants(group: Group, folder: str) -> list[str]:
    """Choices that lie in a folder of the group, without its name."""
    return [c.name.partition("/")[2] for c in group.choices if c.name.startswith(f"{folder}/")]


def folders_alone(group: Group) -> list[str]:
    """Folders of the group that have no choice of their name beside them."""
    folders = {c.name.partition("/")[0] for c in group.choices if "/" in c.name}
    return sorted(folders - {choice.name for choice in group.choices})


def shared_options(group: Group) -> Iterator[tuple[str, list[Option]]]:
    """Options that all choices have (but those without any), then for each set of the others the choices that have it.

    The choices are a text, "" where it is all of them.
    """
    alone = [choice for choice in group.choices if "/" not in choice.name]
    with_some = [choice for choice in alone if choice.options]
    if not with_some:
        return
    sets = [{_key(option) for option in choice.options} for choice in with_some]
    shared = set.intersection(*sets) if len(sets) > 1 else set()
    common = [option for option in with_some[0].options if _key(option) in shared]
    if common:
        yield "", common
    by_names: dict[tuple[str, ...], list[Choice]] = {}
    for choice in with_some:
        rest = tuple(_key(option) for option in choice.options if _key(option) not in shared)
        by_names.setdefault(rest, []).append(choice)
    for names, choices in by_names.items():
        if names:
            bases = dict.fromkeys(base for choice in choices for base in choice.base)
            also = [Option(f"and those of {base}") for base in bases if _is_choice(group, base)]
            own = [option for option in choices[0].options if _key(option) in names]
            yield ", ".join(choice.name for choice in choices), own + also


def _key(option: Option) -> tuple[str, str]:
    return option.name, option.values


def _is_choice(group: Group, name: str) -> bool:
    return name in {choice.name for choice in group.choices}


def _names(options: Iterable[Option]) -> str:
    """Names with their values; parts of a dict of parts as `gap.{every,examples}`."""
    parts: dict[str, list[str]] = {}
    for name, values in ((o.name.removeprefix(LAUNCHER), o.values) for o in options):
        part, _, key = name.rpartition(".")
        parts.setdefault(part, []).append(key + (f"={values}" if values else ""))
    return " ".join(_joined(part, keys) for part, keys in parts.items())


def _joined(part: str, keys: list[str]) -> str:
    if not part:
        return " ".join(keys)
    return f"{part}.{keys[0]}" if len(keys) == 1 else f"{part}.{{{','.join(keys)}}}"


def _wrapped(text: str, label: str) -> list[str]:
    indent = " " * len(label)
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=label,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [label.rstrip()]


OmegaConf.register_new_resolver("help", help_text, replace=True)
