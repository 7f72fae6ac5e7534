"""From the table of words to diffrax's solvers."""

import diffrax
import numpy as np

from .algorithms import Method
from .esdirk import ESDIRK


def make_solver(method: Method, rtol, atol) -> diffrax.AbstractSolver:
    """The solver; implicit ones solve their stages to the tolerances of the steps."""
    if method.is_stiff:
        return ESDIRK(rtol, atol, method.solver, method.order)
    return getattr(diffrax, method.solver)()


def count_stages(method: Method) -> int:
    """Evaluations of the right-hand side in a step of an explicit method."""
    tableau = getattr(getattr(diffrax, method.solver), "tableau", None)
    return 1 if tableau is None else len(tableau.c) + 1 - tableau.fsal


def stability_boundary(method: Method) -> float:
    """The real z < 0, made positive, at which an explicit method's stability function leaves the unit disc."""
    tableau = getattr(diffrax, method.solver).tableau
    b = np.asarray(tableau.b_sol)
    a = np.zeros((len(b), len(b)))
    for i, row in enumerate(tableau.a_lower):
        a[i + 1, : i + 1] = row
    z = np.arange(0.01, 20, 0.01)
    growth = [abs(1 - x * b @ np.linalg.solve(np.eye(len(b)) + x * a, np.ones(len(b)))) for x in z]
    return float(z[np.argmax(np.array(growth) > 1 + 1e-9)])
