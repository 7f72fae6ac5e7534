"""The words of the embedded engine, their table's rows, and the statuses of diffrax's results."""

import re

import diffrax
import pytest
from support import diffrax_engine  # noqa: F401  (skips this module without the engine)

from pysciml.engines.base import Status, check_capabilities
from pysciml.engines.choose import engine_capabilities, load_engine
from pysciml.engines.diffrax.algorithms import CAPABILITIES, METHODS, SENSITIVITIES
from pysciml.engines.diffrax.methods import count_stages, make_solver, stability_boundary
from pysciml.engines.diffrax.status import STATUS, read_result
from pysciml.errors import UnsupportedByEngine
from pysciml.requests import Capability


@pytest.mark.parametrize("word", METHODS)
def test_rows_agree_with_diffrax(word):
    method = METHODS[word]
    assert method.word == word
    theirs = getattr(diffrax, method.solver)()
    if not method.solver.startswith("KenCarp"):
        assert theirs.order(None) == method.order
    assert isinstance(theirs, diffrax.AbstractImplicitSolver) == method.is_stiff
    assert isinstance(theirs, diffrax.AbstractAdaptiveSolver) == method.is_adaptive
    assert make_solver(method, 1e-6, 1e-8).order(None) == method.order
    assert re.search(r"\(\d{4}\)", method.reference) and ("doi:10." in method.reference)


def test_capabilities_are_the_tables():
    assert load_engine("diffrax").capabilities == CAPABILITIES == engine_capabilities()["diffrax"]
    words = {c.word for c in CAPABILITIES if c.kind == "algorithm"}
    assert words == {"auto", *METHODS}
    assert {c.word for c in CAPABILITIES if c.kind == "sensitivity"} == {"auto", *SENSITIVITIES}


def test_a_limit_of_time_is_refused_with_what_serves_in_its_place():
    needs = frozenset({Capability("limit", "max_seconds")})
    with pytest.raises(UnsupportedByEngine, match="limit 'max_seconds'; engine='julia' does.*max_steps bounds them"):
        check_capabilities(load_engine("diffrax"), needs, engine_capabilities())


def test_word_of_another_engine_is_refused_by_name():
    needs = frozenset({Capability("algorithm", "Rodas5P")})
    with pytest.raises(UnsupportedByEngine, match="does not support the algorithm 'Rodas5P'; engine='julia' does"):
        check_capabilities(load_engine("diffrax"), needs, engine_capabilities())


def test_table_of_results_is_total():
    names = set(diffrax.RESULTS._name_to_item)
    assert names <= STATUS.keys()
    assert STATUS.keys() - names <= {"nonfinite", "conlim"}  # diffrax before 0.7.2 hasn't got them
    assert set(STATUS.values()) <= set(Status)
    for name in names:
        assert read_result(getattr(diffrax.RESULTS, name)) is STATUS[name]


def test_stages_and_stability():
    assert [count_stages(METHODS[word]) for word in ("Euler", "Heun", "BS3", "Tsit5", "DP8")] == [1, 2, 3, 6, 13]
    assert stability_boundary(METHODS["Heun"]) == pytest.approx(2.0, abs=0.02)
    assert stability_boundary(METHODS["DP5"]) == pytest.approx(3.31, abs=0.02)  # Hairer & Wanner: 3.3
