"""The table of what the quick suite leaves to the slow one is about tests that are there."""

import re
from pathlib import Path

import pytest
from quick_share import QUICK_SHARE, slow_ids

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", QUICK_SHARE)
def test_every_law_in_the_table_is_one_of_its_file(file):
    defined = set(re.findall(r"(?m)^def (test_\w+)", (HERE / file).read_text()))
    assert QUICK_SHARE[file].keys() <= defined


def test_every_k_th_case_of_a_law_is_quick_and_all_of_another():
    file, laws = next((file, laws) for file, laws in QUICK_SHARE.items() if 4 in laws.values())
    law = next(name for name, share in laws.items() if share == 4)
    cases = [(file, law)] * 6 + [(file, "test_another")] * 2
    assert slow_ids(cases) == {1, 2, 3, 5}
