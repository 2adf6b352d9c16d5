"""The page of groups in docs/ is what conf/ says today."""

from runs import CONF

from isogain.launch.groups_page import page


def test_the_page_of_groups_is_what_is_generated_from_conf():
    there = (CONF.parent / "docs" / "groups.md").read_text()
    assert there == page(CONF), "`make docs` writes docs/groups.md anew"
