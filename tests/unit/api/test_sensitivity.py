"""What may give a sensitivity its products with cotangents, and what is refused before anything runs."""

from dataclasses import replace

import numpy as np
import pytest

import pysciml as ps
from pysciml.engines.base import check_capabilities
from pysciml.engines.choose import engine_capabilities
from pysciml.engines.diffrax.engine import DiffraxEngine
from pysciml.engines.julia.algorithms import CAPABILITIES, SENSITIVITIES, VJPS, VJPS_LEFT_OUT, vjps_of
from pysciml.engines.julia.checks import choose_sensitivity, explain_sensitivity
from pysciml.engines.julia.loading import BRANCHLESS
from pysciml.ir.ops import OPERATIONS
from pysciml.ir.program import Input, ProgramBuilder
from pysciml.requests import ObjectiveRequest, SolveRequest


def request(sensitivity, vjp, algorithm="Tsit5"):
    program = ProgramBuilder([Input("t", ()), Input("u", (1,)), Input("p", (1,))]).build([("du", 1)])
    solve = SolveRequest(program, np.ones(1), np.ones(1), (0.0, 1.0), algorithm, saveat=np.ones(1))
    one = np.ones((1, 1))
    return ObjectiveRequest(solve, program, np.ones(1), one, one, sensitivity, vjp=vjp)


def test_a_sensitivity_is_a_value():
    one = ps.Sensitivity("gauss", vjp="ReverseDiff")
    assert one == ps.Sensitivity("gauss", "ReverseDiff") != ps.Sensitivity("gauss")
    assert ps.Sensitivity("gauss").vjp == "generated" and len({one, one, ps.Sensitivity("gauss")}) == 2


@pytest.mark.parametrize("vjp", ["Zygote", "Enzyme"])
def test_what_is_not_offered_says_why_and_what_is(vjp):
    with pytest.raises(ps.UnsupportedByEngine, match=f"'{vjp}' is not offered: .*; use 'generated' or 'ReverseDiff'"):
        ps.Sensitivity("gauss", vjp=vjp)


def test_unknown_words():
    with pytest.raises(ps.ProblemError, match="unknown word 'guass'.*did you mean 'gauss'"):
        ps.Sensitivity("guass")
    with pytest.raises(ps.ProblemError, match="vjp: unknown word 'reversediff'.*did you mean 'ReverseDiff'"):
        ps.Sensitivity("gauss", vjp="reversediff")


def test_the_table_is_what_is_refused_before_anything_runs():
    for word in ("auto", *SENSITIVITIES):
        for vjp in VJPS:
            if vjp in vjps_of(word) or vjp == "generated":
                assert choose_sensitivity(request(word, vjp)) == word
            else:
                with pytest.raises(ps.UnsupportedByEngine, match=f"the vjp '{vjp}' with the sensitivity '{word}'"):
                    choose_sensitivity(request(word, vjp))
    assert not set(VJPS) & set(VJPS_LEFT_OUT) and {c.word for c in CAPABILITIES if c.kind == "vjp"} == set(VJPS)
    with pytest.raises(ps.UnsupportedByEngine, match="'gauss' with the algorithm 'RadauIIA5'"):
        choose_sensitivity(request("gauss", "ReverseDiff", "RadauIIA5"))
    mass = replace(request("gauss", "ReverseDiff").solve, mass_matrix=np.ones(1))
    with pytest.raises(ps.UnsupportedByEngine, match="'gauss' with mass matrices"):
        choose_sensitivity(replace(request("gauss", "ReverseDiff"), solve=mass))


def test_the_other_engine_names_the_one_that_has_it():
    needs = request("backsolve", "ReverseDiff").needs
    with pytest.raises(
        ps.UnsupportedByEngine, match="'diffrax' does not support the vjp 'ReverseDiff'; engine='julia'"
    ):
        check_capabilities(DiffraxEngine(), needs, engine_capabilities())


def test_the_reason_says_what_ran():
    assert explain_sensitivity(request("gauss", "ReverseDiff"), "Tsit5", "gauss").startswith(
        "products with cotangents by R"
    )


def test_branches_are_recorded_at_each_call():
    assert set(OPERATIONS) > BRANCHLESS
    assert not BRANCHLESS & {
        "where",
        "maximum",
        "minimum",
        "abs",
        "sign",
        "interp",
        "max",
        "min",
        "zero_product",
        "mod",
    }
