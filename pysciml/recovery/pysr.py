"""PySR: symbolic regression, and what it found as candidates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log
from typing import NamedTuple

import numpy as np

from ..errors import ProblemError
from ..fitting.schedules import check_count
from .candidate import AbstractSearch, Candidate, relative_error
from .library import evaluate_terms
from .sparse import solve_factors
from .terms import Part, Sum
from .trees import read_tree

OPERATORS = ("+", "-", "*", "/")
SMALLEST = 4  # nodes, that a search by SymbolicRegression takes as the most
EXCHANGES = 8  # candidates at most that are tried beside one
MOST_PARTS = 6  # terms of a sum of which any may be left out; of longer ones one
FLOOR = 1e-6  # relative error below which none is better than another


@dataclass(frozen=True)
class PySR:
    """Symbolic regression for :func:`recover`: trees of operators, bred rather than chosen from a list.

    The search is that of SymbolicRegression.jl, on which PySR stands, inside the Julia of this process: the engine must
    be ready and this package be in its project (``python -m pysciml doctor`` says whether it is). Functions of one
    argument are those of the :class:`Library`. It chooses among far more equations than sparse regression, and needs
    better data for that.

    Parameters
    ----------
    iterations : int, default 40
        Of the search for each output of the network (dimensionless), which takes some seconds.
    maxsize : int, default 20
        Most nodes of a tree, operators, inputs and constants alike (dimensionless).
    operators : sequence of str, default ("+", "-", "*", "/")
        Of these: the functions of two arguments.
    seed : int, default 0
        Of the search, which finds the same for the same seed.

    Raises
    ------
    ProblemError
        For numbers that aren't positive integers, a ``maxsize`` below 4, and other operators.

    References
    ----------
    Cranmer (2023), Interpretable machine learning for science with PySR and SymbolicRegression.jl,
    doi:10.48550/arXiv.2305.01582

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.PySR(iterations=80, operators=("+", "*"))
    PySR(iterations=80, maxsize=20, operators=('+', '*'), seed=0)
    """

    iterations: int = 40
    maxsize: int = 20
    operators: tuple[str, ...] = OPERATORS
    seed: int = 0

    def __post_init__(self):
        check_count("PySR", "iterations", self.iterations)
        check_count("PySR", "maxsize", self.maxsize)
        if self.maxsize < SMALLEST:
            raise ProblemError(f"PySR: maxsize must be at least {SMALLEST}, got {self.maxsize!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise ProblemError(f"PySR: seed must be a non-negative integer, got {self.seed!r}")
        given = tuple(self.operators)
        if not given or not set(given) <= set(OPERATORS):
            raise ProblemError(f"PySR: operators must be some of {' '.join(OPERATORS)}, got {self.operators!r}")
        object.__setattr__(self, "operators", given)


class _Member(NamedTuple):
    """An equation of one output, how many symbols it has, and its error, less than that of all simpler ones."""

    equation: Sum
    size: int
    error: float


class TreeSearch(AbstractSearch):
    """What a search found: of each output the trees ``(codes, constants)`` that are better than all simpler ones.

    The outputs are ``(sample, output)``, what they are of ``inputs (sample, input)``; factors are found anew, so the
    search may have been for multiples of them. See :func:`~pysciml.recovery.trees.read_tree` for the codes.
    """

    def __init__(self, trees: Sequence, operators: Sequence[str], inputs: np.ndarray, outputs: np.ndarray):
        self._log_symbols = log(len(operators) + inputs.shape[1] + 1)
        self._fronts = [
            _read_front([read_tree(*tree, operators) for tree in found], inputs, output)
            for found, output in zip(trees, outputs.T, strict=True)
        ]

    def path(self) -> list[Candidate]:
        steps = sorted((*step, j) for j, front in enumerate(self._fronts) for step in _hull(front))
        chosen, found = [0] * len(self._fronts), []
        for _, place, j in steps:
            chosen[j] = place
            found.append(self._candidate(chosen))
        return found

    def near(self, candidate: Candidate) -> list[Candidate]:
        places = [
            next(k for k, member in enumerate(front) if member.equation.form == form)
            for front, form in zip(self._fronts, candidate.form, strict=True)
        ]
        others = [(abs(k - places[j]), j, k) for j, front in enumerate(self._fronts) for k in range(len(front))]
        changed = (self._candidate([*places[:j], k, *places[j + 1 :]]) for away, j, k in sorted(others) if away)
        return [one for one in changed if one.n_terms][:EXCHANGES]

    def _candidate(self, places):
        members = [front[k] for front, k in zip(self._fronts, places, strict=True)]
        size = sum(member.size for member in members)
        error = np.array([member.error for member in members])
        return Candidate(tuple(member.equation for member in members), error, size / 2 * self._log_symbols, size)


def _read_front(sums: Sequence[Sum | None], inputs: np.ndarray, output: np.ndarray) -> list[_Member]:
    """The best of the sums, and of parts of them, for each size; first the empty one.

    Parts of them too: of trees of one size a search keeps one only, and of ``c*u*v`` and ``v*(u + c)`` that is the
    latter, whatever its constant is.
    """
    found: dict[str, _Member] = {}
    for one in (Sum(), *sums):
        for member in () if one is None else _fit_parts(one, inputs, output):
            form = member.equation.form
            if form not in found or member.error < found[form].error:
                found[form] = member
    front: list[_Member] = []
    for member in sorted(found.values(), key=lambda one: (one.size, one.error)):
        if not front or member.error < front[-1].error:
            front.append(member)
    return front


def _fit_parts(whole: Sum, inputs: np.ndarray, output: np.ndarray) -> Iterator[_Member]:
    """A sum and parts of it, their factors by least squares."""
    terms = [part.term for part in whole.parts]
    with np.errstate(all="ignore"):
        columns = evaluate_terms(terms, inputs) if terms else np.zeros((len(inputs), 0))
        usable = np.flatnonzero(np.isfinite(columns).all(axis=0) & columns.any(axis=0))
    fewest = 0 if len(usable) <= MOST_PARTS else len(usable) - 1
    for support in (list(some) for n in range(fewest, len(usable) + 1) for some in combinations(usable, n)):
        factors = solve_factors(columns, output, support)[support]
        equation = Sum(tuple(Part(terms[k], float(factor)) for k, factor in zip(support, factors, strict=True)))
        left = output - columns[:, support] @ factors
        yield _Member(equation, equation.size, float(relative_error(left[:, None], output[:, None])[0]))


def _hull(front: list[_Member]) -> Iterator[tuple[float, int]]:
    """Slopes to, and places of the members that are best at some price of a symbol in units of the error's logarithm.

    They are the corners of the lower convex hull, so that slopes get less steep.
    """
    here = 0
    while more := [
        (log(max(one.error, FLOOR) / max(front[here].error, FLOOR)) / (one.size - front[here].size), k)
        for k, one in enumerate(front[here + 1 :], here + 1)
    ]:
        slope, here = min(more)
        if slope >= 0:
            return
        yield slope, here
