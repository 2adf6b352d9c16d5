"""A pytest plugin: a marker with a class makes a test case of every clause of its contract.

    @pytest.mark.regularizer_contract(reg=MyRegularizer, smooth=False)
    def test_my_regulariser(clause):
        clause()

`initialiser_contract(init=...)` and `network_contract(build=...)` likewise. Arguments are those of the functions of
these names, by keyword: pytest takes a mark of a class alone for one that marks the class.
"""

import pytest

SUBJECTS = {
    "regularizer_contract": "reg",
    "initialiser_contract": "init",
    "network_contract": "build",
}


def pytest_configure(config: pytest.Config) -> None:
    """The markers, for `--markers` and `--strict-markers`."""
    for name in SUBJECTS:
        line = f"{name}({SUBJECTS[name]}=..., ...): the argument `clause` is each clause of isogain.testing.{name}"
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a clause; torch is imported by the first marker alone."""
    marks = [m for m in metafunc.definition.iter_markers() if m.name in SUBJECTS]
    if not marks:
        return
    if "clause" not in metafunc.fixturenames:
        name = metafunc.function.__name__
        raise pytest.UsageError(f"{name} is marked {marks[0].name}: it needs the argument `clause`")
    from isogain import testing

    clauses = [c for m in marks for c in getattr(testing, m.name)(*m.args, **m.kwargs)]
    cases = [pytest.param(c, id=f"{c.subject}-{c.name}") for c in clauses]
    metafunc.parametrize("clause", cases)
