import pytest

from isogain.config.nearest import nearest


@pytest.mark.parametrize(
    ("typo", "meant"), [("orthogonl", "orthogonal"), ("henaf", "henaff"), ("gausian", "gaussian")]
)
def test_a_typo_is_answered_with_the_name_that_was_meant(typo, meant):
    names = ["cayley", "gaussian", "henaff", "identity", "orthogonal"]
    assert nearest(typo, names) == f"did you mean '{meant}'?"


def test_a_name_like_no_other_is_answered_with_all_names_in_order():
    assert nearest("xyz", iter(["soft", "hard"])) == "there is: hard, soft"


def test_where_there_is_no_name_the_answer_says_so():
    assert nearest("xyz", []) == "there is: none"


def test_names_need_not_be_text():
    assert nearest("1", [1, 20]) == "did you mean '1'?"
