"""Ensembles in float32: what is made of a request, and what is refused."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.engines.single import in_single
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.origin import count_from_origin, uses_time
from pysciml.requests import EnsembleRequest, SolveRequest

FORCED = ps.ODEProblem(lambda t, u, p: {"x": -p.k * (u.x - np.sin(t))}, {"x": 1.0}, (1000, 1010), {"k": 2.0})
DECAY = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (1000, 1010), {"k": 2.0})


def make_request(problem, **changes):
    given = {"saveat": np.array([1000.1, 1010.0]), "u0": problem.u0_values, "p": problem.p_values} | changes
    solve = SolveRequest(problem.program, given["u0"], given["p"], problem.span, saveat=given["saveat"])
    return EnsembleRequest(solve, np.tile(given["u0"], (3, 1)), np.tile(given["p"], (3, 1)), 1, dtype="float32")


def test_times_count_from_the_start():
    single = in_single(make_request(DECAY))
    assert single.solve.t_span == (0.0, 10.0) and single.solve.program == DECAY.program
    np.testing.assert_array_equal(single.solve.saveat, np.float32([1000.1 - 1000, 10]).astype(float))


def test_the_origin_is_a_parameter_where_time_is_used():
    assert uses_time(FORCED.program) and not uses_time(DECAY.program)
    single = in_single(make_request(FORCED))
    assert single.solve.program == count_from_origin(FORCED.program)
    np.testing.assert_array_equal(single.p, [[2.0, 1000.0]] * 3)
    counted = evaluate_program(single.solve.program, 0.25, np.array([0.5]), single.p[0])
    np.testing.assert_array_equal(counted, evaluate_program(FORCED.program, 1000.25, np.array([0.5]), single.p[0, :1]))


@pytest.mark.parametrize(
    "changes, what",
    [({"u0": np.array([1e39])}, "an initial value"), ({"p": np.array([1e-40])}, "a parameter")],
)
def test_numbers_out_of_range_are_refused(changes, what):
    with pytest.raises(ps.ProblemError, match=f"dtype='float32'.*{what} is beyond"):
        in_single(make_request(DECAY, **changes))
    in_single(make_request(DECAY, u0=np.array([0.0])))
