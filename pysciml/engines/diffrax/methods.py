"""From the table of words to diffrax's solvers and terms."""

from collections.abc import Callable

import diffrax
import jax.numpy as jnp
import numpy as np
import optimistix

from .algorithms import Method


def make_terms(method: Method, field: Callable):
    """The right-hand side ``field(t, u, p)`` as a method takes it: KenCarp's explicit half gets zero."""
    term = diffrax.ODETerm(field)
    if method.solver.startswith("KenCarp"):
        return diffrax.MultiTerm(diffrax.ODETerm(lambda t, u, p: jnp.zeros_like(u)), term)
    return term


def make_solver(method: Method, rtol, atol) -> diffrax.AbstractSolver:
    """The solver; implicit ones find the roots of their stages to the tolerances of the steps."""
    cls = getattr(diffrax, method.solver)
    if not method.is_stiff:
        return cls()
    finder = optimistix.Chord if method.solver == "ImplicitEuler" else diffrax.VeryChord
    return cls(root_finder=finder(rtol=rtol, atol=atol, norm=optimistix.max_norm), root_find_max_steps=10)


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
