"""Algorithm and algorithms(): words with options, refused where they can't be."""

import pickle

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.errors import ProblemError, UnsupportedByEngine


def test_a_value_of_word_and_options():
    one = ps.Algorithm("KenCarp4", nonlinear_solver="Newton", linear_solver="KLU")
    assert one == ps.Algorithm("KenCarp4", linear_solver="KLU", nonlinear_solver="Newton")
    assert len({one, ps.Algorithm("KenCarp4"), ps.Algorithm("KenCarp5")}) == 3
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one), {"Algorithm": ps.Algorithm}) == one


@pytest.mark.parametrize(
    ("word", "options", "message"),
    [
        ("Tsit6", {}, "did you mean 'Tsit5'"),
        ("ETDRK4", {}, "two parts"),
        ("VelocityVerlet", {}, "first order"),
        ("RKV76IIa", {}, "present release"),
        ("KenCarp4", {"linear_sover": "KLU"}, "its options are .*linear_solver.*did you mean 'linear_solver'"),
        ("Tsit5", {"linear_solver": "KLU"}, "its options are adaptive"),
        ("auto", {"adaptive": False}, "it has none"),
        ("KenCarp4", {"linear_solver": "klu"}, "did you mean 'KLU'"),
        ("KenCarp4", {"linear_solver": "LU", "preconditioner": "jacobi"}, "needs linear_solver='GMRES'"),
        ("FBDF", {"max_order": 6}, "an integer from 1 to 5"),
        ("FBDF", {"max_order": True}, "an integer from 1 to 5"),
        ("RK4", {"adaptive": 0}, "one of True, False"),
        ("Anas5", {"frequency": -1.0}, "a positive number"),
    ],
)
def test_what_can_not_be_is_refused(word, options, message):
    with pytest.raises(ProblemError, match=message):
        ps.Algorithm(word, **options)


def test_an_engine_without_the_option_names_the_one_that_has_it():
    require_engine("diffrax")
    problem = ps.ODEProblem(lambda t, u, p: -u, 1.0, (0, 1))
    with pytest.raises(UnsupportedByEngine, match="option 'linear_solver'; engine='julia' does"):
        ps.solve(problem, ps.Algorithm("KenCarp4", linear_solver="KLU"), engine="diffrax")


def test_the_catalogue_as_a_dataset():
    words = ps.algorithms()
    assert words.sizes["word"] > 220
    assert not np.unique(words.word).size < words.word.size
    row = words.sel(word="KenCarp4")
    assert (int(row.order), str(row.engine.values)) == (4, "julia, diffrax")
    assert "linear_solver" in str(row.options.values) and "2003" in str(row.reference.values)
    assert str(words.engine.sel(word="Heun").values) == "julia, diffrax"
    assert not bool(words.adaptive.sel(word="SSPRK33"))
