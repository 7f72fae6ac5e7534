"""For tests of the embedded engine's parts: importing this skips the module where the engine isn't installed."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.requests import ObjectiveRequest, SolveRequest, sum_of_one

from .engines import required_engines, unready_reason

_REASON = unready_reason("diffrax")
if _REASON is not None:
    if "diffrax" in required_engines():
        raise RuntimeError(f"engine 'diffrax' is required and not ready: {_REASON}")
    pytest.skip(f"engine 'diffrax' is not ready: {_REASON}", allow_module_level=True)


def make_request(model, u0, t_span, p=None, algorithm="auto", **options) -> SolveRequest:
    """A solve of a model as a user writes it."""
    problem = ps.ODEProblem(model, u0, t_span, p)
    return SolveRequest(problem.program, problem.u0_values, problem.p_values, problem.span, algorithm, **options)


def make_objective_request(solve: SolveRequest, values, weights=None, trained=None, sensitivity="auto"):
    """The sum of squares over all data, as a function of the first ``trained`` parameters (None: all)."""
    k = len(solve.p) if trained is None else trained
    builder = ps.ir.program.ProgramBuilder([ps.ir.program.Input("x", (k,))])
    rest = builder.constant(solve.p[k:])
    p = builder.add("concatenate", [0, rest], (0,)) if k < len(solve.p) else 0
    parametrization = builder.build([("u0", builder.constant(solve.u0)), ("p", p)])
    weights = np.ones_like(values) if weights is None else weights
    return sum_of_one(ObjectiveRequest(solve, parametrization, np.array(solve.p[:k]), values, weights, sensitivity))
