"""The table of what goes with what is what the engines do, before anything runs."""

from dataclasses import replace

import numpy as np
import pytest

import pysciml as ps
from pysciml.engines.diffrax import algorithms as diffrax
from pysciml.engines.julia import algorithms as julia
from pysciml.engines.julia.checks import choose_sensitivity, explain_sensitivity
from pysciml.ir.program import Input, ProgramBuilder
from pysciml.requests import ObjectiveRequest, SolveRequest


def request(algorithm, sensitivity, size=1):
    builder = ProgramBuilder([Input("t", ()), Input("u", (1,)), Input("p", (1,))])
    program = builder.build([("du", 1)])
    solve = SolveRequest(program, np.ones(1), np.ones(1), (0.0, 1.0), algorithm, saveat=np.ones(1))
    one = np.ones((1, 1))
    return ObjectiveRequest(solve, program, np.ones(size), one, one, sensitivity)


def test_every_word_of_julia():
    for word in julia.METHODS:
        for sensitivity in julia.SENSITIVITIES:
            if sensitivity in julia.sensitivities_of(word):
                assert choose_sensitivity(request(word, sensitivity)) == sensitivity
            else:
                with pytest.raises(ps.UnsupportedByEngine, match=f"sensitivity '{sensitivity}' with"):
                    choose_sensitivity(request(word, sensitivity))
        assert choose_sensitivity(request(word, "auto")) in ("auto", "forward")


def test_the_catalogue_shows_it():
    table = ps.algorithms().sensitivities
    assert str(table.sel(word="Tsit5").values) == (
        "julia: discrete, interpolating, gauss, quadrature, backsolve, forward, forward_over_solver; "
        "diffrax: checkpointed, backsolve, forward"
    )
    assert str(table.sel(word="CVODE_BDF").values) == "julia: forward"
    assert str(table.sel(word="RadauIIA5").values) == "julia: forward, forward_over_solver"
    assert str(table.sel(word="Kvaerno5").values).endswith("diffrax: checkpointed, forward")
    for word in diffrax.METHODS:
        assert set(diffrax.sensitivities_of(word)) <= set(diffrax.SENSITIVITIES)


@pytest.mark.parametrize(
    ("algorithm", "word", "size", "reason"),
    [
        ("Tsit5", "discrete", 3, "sensitivity discrete, since steps of Tsit5 can be reversed"),
        ("FBDF", "forward", 1, "since steps of FBDF are not reversed and x has 1 element, few enough for tangents"),
        ("FBDF", "gauss", 900, "since steps of FBDF are not reversed and x has 900 elements, too many for tangents"),
        ("CVODE_BDF", "forward", 900, "since CVODE_BDF is less accurate between its steps"),
    ],
)
def test_what_auto_became_has_a_reason(algorithm, word, size, reason):
    asked = request(algorithm, "auto", size)
    assert reason in explain_sensitivity(asked, algorithm, word)
    assert explain_sensitivity(replace(asked, sensitivity=word), algorithm, word) == ""
