"""The page fetches nothing from elsewhere, runs nothing but its own script, and no text in it becomes markup."""

import base64
import hashlib
import json
import re

import pytest

from isogain.analysis.board.template import SCRIPTS, inlined, page, policy, script
from isogain.record.run_status import Status

NASTY = ["</script><script>alert(1)</script>", "<!--<script>", "\"'&<>", "\u2028\u2029", "]]>"]


@pytest.fixture(scope="module")
def text():
    return page({"live": True, "names": NASTY})


def test_the_policy_allows_exactly_the_pages_own_script_and_style(text):
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in text
    assert "default-src 'none'" in policy(live=True) and "unsafe" not in policy(live=True)


def test_nothing_is_named_that_a_browser_would_fetch(text):
    assert re.findall(r"https?://[^\"' ]*", text) == [
        "http://www.w3.org/2000/svg"
    ]  # a name, not an address
    assert not re.search(r"<(link|img|iframe|script[^>]* src)|@import|url\(", text)


def test_no_script_makes_markup_or_code_of_a_text():
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", script()
    )
    assert len(SCRIPTS) == len(set(SCRIPTS))


def test_inlined_data_read_back_is_what_it_was_and_cannot_end_its_element(text):
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL
    )
    assert json.loads(data)["names"] == NASTY
    assert not set("<>&") & set(inlined(NASTY))


def test_the_script_gives_marks_and_colours_to_statuses_of_a_run_only():
    (bad,) = re.findall(r"const BAD = new Set\((\[.*?\])\)", script())
    (marks,) = re.findall(r"const MARKS = \{(.*?)\}", script())
    assert {*json.loads(bad), *re.findall(r"(\w+):", marks)} <= set(Status)
