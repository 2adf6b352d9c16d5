"""The points of a sweep that is resumed against what lies in its folder, before the first of them runs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isogain.config.errors import AnotherRun, UserError
from isogain.config.typed_range import typed
from isogain.record.config_difference import in_words
from isogain.record.continuation import Continuation, continuation, without_derived
from isogain.record.identity import differences
from isogain.record.sweep_json import Point, abridged, point_names

log = logging.getLogger(__name__)
Compose = Callable[[Sequence[str]], DictConfig]  # the config that some overrides make
UNCOMPOSED = (HydraException, OmegaConfBaseException, UserError)


def over(
    folder: Path, points: Sequence[Point], listed: Sequence[Point], compose: Compose
) -> set[str]:
    """The folders of those points whose run has nothing left to do.

    Each is compared with the run in its folder, or where none has begun with the point that is `listed` for it.
    Raises AnotherRun where one may not go on, with a line a difference. A point that cannot be composed is passed over.
    """
    if listed and len(listed) != len(points):
        counts = f"{len(listed)} points there, {len(points)} here"
        raise AnotherRun(f"out={folder}: holds a sweep over other points: {counts}; choose another")
    before = {point.folder: point.overrides for point in listed}
    done, remarks, refused = set(), {}, {}
    for point in points:
        try:
            earlier = _continuation(folder / point.folder, point, before, compose)
        except AnotherRun as error:
            refused[point.folder] = error
            continue
        remarks |= dict.fromkeys(earlier.remarks if earlier else [])
        if earlier and earlier.summary is not None:
            done.add(point.folder)
    if refused:
        raise AnotherRun("\n".join(abridged(_lines(folder, points, refused))))
    for remark in remarks:
        log.info("%s: %s", folder, remark)
    return done


def refuse_other_words(
    folder: Path, points: Sequence[Point], words: Sequence[str], compose: Compose
) -> None:
    """Raise AnotherRun where an override among `words` would make a result other than a listed point's, which runs as
    it is; one that would not, such as another limit in epochs, is mentioned.
    """
    parser = OverridesParser.create()
    for override in map(parser.parse_override, words):
        key = override.get_key_element()
        if override.is_hydra_override() or key.lstrip("+~") in ("out", "resume", "cluster"):
            continue
        values = typed(override) if override.is_sweep_override() else [None]
        texts = [override.input_line if v is None else f"{key}={v}" for v in values]
        mentioned = ""
        for point in points:
            if set(texts) & set(point.overrides):
                continue
            conflict, mention = _difference(point, texts, compose)
            if conflict:
                raise AnotherRun(
                    f"{override.input_line}: point {point.folder} of {folder} has {conflict}; its points run as they "
                    "are: leave it out"
                )
            mentioned = mentioned or mention
        if mentioned:
            log.info(
                "%s: without effect, points run as they are (%s)", override.input_line, mentioned
            )


def _difference(point: Point, texts: Sequence[str], compose: Compose) -> tuple[str, str]:
    """How a point differs from what it would be with each of the overrides, in its result and otherwise; "" where it
    does not, and where it has one of them already.
    """
    there = OmegaConf.to_container(compose(point.overrides), resolve=True)
    lines = []
    for override in texts:
        config = compose([*point.overrides, override])
        compared = differences(there, OmegaConf.to_container(config, resolve=True))
        conflicts = in_words(without_derived(compared.conflicts, config))
        others = in_words(without_derived([*compared.limits, *compared.others], config))
        if not compared.conflicts:
            return "", others
        lines.append(conflicts)
    return lines[0], ""


def _continuation(
    folder: Path, point: Point, before: Mapping[str, Sequence[str]], compose: Compose
) -> Continuation | None:
    try:
        config = compose(point.overrides)
        listed = compose(before[point.folder]) if point.folder in before else None
        there = listed and OmegaConf.to_container(listed, resolve=True)
        return continuation(folder, config, there)
    except AnotherRun:
        raise
    except UNCOMPOSED:
        return None


def _lines(folder: Path, points: Sequence[Point], refused: Mapping[str, Any]) -> list[str]:
    """A line a difference, with the points that have it; none are named where all of a sweep have the same."""
    names = dict(
        zip((p.folder for p in points), point_names([p.overrides for p in points]), strict=True)
    )
    alike: dict[str, list[str]] = {}
    for name, error in refused.items():
        alike.setdefault(error.difference or str(error), []).append(f"point {name} ({names[name]})")
    if len(alike) == 1 and len(refused) == len(points):
        return [f"out={folder}: holds another sweep: {next(iter(alike))}; choose another out="]
    return [
        *(f"{', '.join(abridged(who))}: {difference}" for difference, who in alike.items()),
        f"out={folder}: holds another sweep: choose another out=",
    ]
