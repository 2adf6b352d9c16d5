"""CHANGELOG.md has a line for every name that moved."""

from pages import ROOT

from isogain.config.moved import MOVED


def test_every_name_that_moved_has_its_line():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    missing = [old for old, new in MOVED.items() if f"- `{old}` is now `{new}`" not in lines]
    assert missing == []
