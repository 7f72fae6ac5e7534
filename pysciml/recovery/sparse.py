"""Sparse regression: which few terms say best what a network says, for each number of terms."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from math import comb, log

import numpy as np

from ..errors import ProblemError
from .candidate import AbstractSearch, Candidate, relative_error
from .library import evaluate_terms
from .terms import Part, Sum, Term

DEPENDENT = 1e-8  # share of a column that isn't in the span of simpler ones, below which it says nothing new
EXCHANGES = 8  # of a term for another, at most, that are tried at once
RIDGE = 1e-10  # of the searches, on columns of length one: their coefficients are computed again without it


@dataclass(frozen=True, eq=False)
class Sparse:
    """Coefficients ``(output, term)``, most of them zero, and the relative error ``(output,)`` that they leave."""

    coefficients: np.ndarray
    error: np.ndarray

    @property
    def n_terms(self) -> int:
        return int(np.count_nonzero(self.coefficients))


class TermSearch(AbstractSearch):
    """Sums of a library's terms."""

    def __init__(self, terms: Sequence[Term], inputs: np.ndarray, outputs: np.ndarray, most_terms: int):
        self._terms, self._outputs, self._most_terms = tuple(terms), outputs, most_terms
        self._columns = evaluate_terms(terms, inputs)

    def path(self) -> list[Candidate]:
        return [self._candidate(one) for one in sparse_path(self._columns, self._outputs, self._most_terms)]

    def near(self, candidate: Candidate) -> list[Candidate]:
        coefficients = np.zeros((len(candidate.equations), len(self._terms)))
        for row, equation in zip(coefficients, candidate.equations, strict=True):
            for part in equation.parts:
                row[self._terms.index(part.term)] = part.factor
        found = exchanges(self._columns, self._outputs, coefficients, EXCHANGES)
        return [self._candidate(one) for one in found]

    def _candidate(self, sparse):
        equations = tuple(
            Sum(tuple(Part(term, float(factor)) for term, factor in zip(self._terms, row, strict=True) if factor))
            for row in sparse.coefficients
        )
        return Candidate(equations, sparse.error, log(comb(sparse.coefficients.size, sparse.n_terms)))


def check_pysindy() -> None:
    """ProblemError if the package is missing."""
    if find_spec("pysindy") is None:
        raise ProblemError(
            "recover needs the package pysindy, which isn't installed; run: pip install 'pysciml[recover]'"
        )


def sparse_path(columns: np.ndarray, outputs: np.ndarray, most_terms: int) -> list[Sparse]:
    """Candidates of 1, 2, ... ``most_terms`` terms over all outputs, each output's from its own path.

    The next term goes to the output whose relative error it lowers most. ``columns (sample, term)`` are the terms,
    ``outputs (sample, output)`` what they are to say.
    """
    kept = _independent(columns)
    paths = [_path_of(columns, kept, output, most_terms) for output in outputs.T]
    sizes = np.zeros(len(paths), dtype=int)
    found = []
    for _ in range(most_terms):
        gains = [
            path[size][1] - path[size + 1][1] if size + 1 < len(path) else -np.inf
            for path, size in zip(paths, sizes, strict=True)
        ]
        if not np.max(gains) > 0:
            break
        sizes[np.argmax(gains)] += 1
        chosen = [path[size] for path, size in zip(paths, sizes, strict=True)]
        found.append(Sparse(np.stack([one for one, _ in chosen]), np.sqrt([error for _, error in chosen])))
    return found


def exchanges(columns: np.ndarray, outputs: np.ndarray, coefficients: np.ndarray, most: int) -> list[Sparse]:
    """Candidates near one ``(output, term)``: a term left out, or one or two of an output exchanged for another.

    All of the first, and of each kind of the others the ``most`` that say best what ``outputs (sample, output)`` are,
    as in :func:`sparse_path`.
    """
    kept = _independent(columns)
    fewer: list[Sparse] = []
    others: dict[int, list[Sparse]] = {1: [], 2: []}
    for j, row in enumerate(coefficients):
        support = np.flatnonzero(row)
        for size in others:
            for gone in combinations(support, size):
                rest = np.setdiff1d(support, gone)
                if size == 1:
                    fewer.append(_with_support(columns, outputs, coefficients, j, rest))
                more = [k for k in kept if k not in support]
                others[size] += [_with_support(columns, outputs, coefficients, j, np.append(rest, k)) for k in more]
    found = [one for one in fewer if one.n_terms]
    for kind in others.values():
        found += sorted(kind, key=lambda one: float(np.sum(one.error**2)))[:most]
    return found


def _with_support(columns, outputs, coefficients, j, support) -> Sparse:
    """Other terms for one output."""
    changed = coefficients.copy()
    changed[j] = solve_factors(columns, outputs[:, j], support)
    left = outputs - columns @ changed.T
    return Sparse(changed, relative_error(left, outputs))


def solve_factors(columns: np.ndarray, output: np.ndarray, support: Sequence[int] | np.ndarray) -> np.ndarray:
    """The coefficients ``(term,)`` of some terms by least squares."""
    full = np.zeros(columns.shape[1])
    size = np.linalg.norm(columns[:, support], axis=0)
    full[support] = np.linalg.lstsq(columns[:, support] / size, output)[0] / size
    return full


def _independent(columns) -> list[int]:
    """Columns that are finite and no combination of earlier ones."""
    basis, kept = np.zeros((len(columns), 0)), []
    for k, column in enumerate(columns.T):
        size = np.linalg.norm(column)
        if not np.isfinite(size) or size == 0:
            continue
        rest = column / size
        for _ in range(2):  # once more for rounding
            rest = rest - basis @ (basis.T @ rest)
        left = np.linalg.norm(rest)
        if left > DEPENDENT:
            basis, kept = np.column_stack([basis, rest / left]), [*kept, k]
    return kept


def _path_of(columns, kept, output, most_terms) -> list[tuple[np.ndarray, float]]:
    """Coefficients and mean square error, relative to the output's own square, of 0, 1, ... terms."""
    best = {0: (np.zeros(columns.shape[1]), 1.0)}
    total = float(output @ output)
    if total == 0:
        return [best[0]]
    for support in _supports(columns[:, kept], output, most_terms):
        chosen = [kept[k] for k in support]
        full = solve_factors(columns, output, chosen)
        left = output - columns[:, chosen] @ full[chosen]
        error = float(left @ left) / total
        if len(chosen) not in best or error < best[len(chosen)][1]:
            best[len(chosen)] = (full, error)
    longest = next(n for n in range(len(best) + 1) if n not in best)
    return [best[n] for n in range(longest)]


def _supports(columns, output, most_terms) -> Sequence[np.ndarray]:
    """Sets of terms by forward selection (orthogonal least squares) and by leaving out one after the other."""
    from pysindy.optimizers import FROLS, SSR

    scaled = columns / np.linalg.norm(columns, axis=0)
    target = (output / np.linalg.norm(output))[:, None]
    n = scaled.shape[1]
    searches = (FROLS(max_iter=min(most_terms, n), alpha=RIDGE), SSR(max_iter=n, alpha=RIDGE))
    found = []
    for search in searches:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own choice among the candidates, which isn't used
            search.fit(scaled, target)
        found += [np.flatnonzero(coefficients[0]) for coefficients in search.history_]
    return [support for support in found if 0 < support.size <= most_terms]
