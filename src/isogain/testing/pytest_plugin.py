"""A pytest plugin: a marker with a class makes a test case of every clause of its contract.

    @pytest.mark.regularizer_contract(MyRegularizer, smooth=False)
    def test_my_regulariser(clause):
        clause()

`initialiser_contract` and `network_contract` likewise; arguments are those of the functions of these names.
"""

import pytest

CONTRACTS = ("regularizer_contract", "initialiser_contract", "network_contract")


def pytest_configure(config: pytest.Config) -> None:
    """The markers, for `--markers` and `--strict-markers`."""
    for name in CONTRACTS:
        line = (
            f"{name}(subject, ...): the argument `clause` is each clause of isogain.testing.{name}"
        )
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a clause; torch is imported by the first marker alone."""
    marks = [m for m in metafunc.definition.iter_markers() if m.name in CONTRACTS]
    if not marks:
        return
    if "clause" not in metafunc.fixturenames:
        name = metafunc.function.__name__
        raise pytest.UsageError(f"{name} is marked {marks[0].name}: it needs the argument `clause`")
    from isogain import testing

    clauses = [c for m in marks for c in getattr(testing, m.name)(*m.args, **m.kwargs)]
    cases = [pytest.param(c, id=f"{c.subject}-{c.name}") for c in clauses]
    metafunc.parametrize("clause", cases)
