"""Mass matrices: M du/dt = f, with rows of zeros for algebraic equations."""

from collections.abc import Mapping

import numpy as np

from ..errors import ProblemError
from ..tracing.layout import Layout
from .names import check_known


def read_mass_matrix(given, layout: Layout) -> np.ndarray | None:
    """The diagonal ``(n,)`` over the flat state, or the matrix ``(n, n)`` where that is not all; None for the identity.

    A mapping or a vector holds the diagonal; a state that a mapping doesn't name has 1. ProblemError for what is no
    mass matrix.
    """
    if given is None:
        return None
    matrix = _from_names(given, layout) if isinstance(given, Mapping) else _from_array(given, layout.size)
    if not np.all(np.isfinite(matrix)):
        raise ProblemError("mass_matrix holds NaN or infinity")
    if matrix.ndim == 2 and np.count_nonzero(matrix) == np.count_nonzero(np.diagonal(matrix)):
        matrix = np.diagonal(matrix).copy()
    if matrix.ndim == 1:
        return None if np.all(matrix == 1) else matrix
    _check_semi_explicit(matrix)
    return matrix


def _from_names(given, layout):
    check_known("mass_matrix", given, layout.names)
    values = {}
    for entry in layout.entries:
        value = _read_numbers(given.get(entry.name, 1.0))
        if value.shape not in ((), entry.shape):
            raise ProblemError(
                f"mass_matrix[{entry.name!r}] has shape {value.shape}, expected {entry.shape} or a number"
            )
        values[entry.name] = np.broadcast_to(value, entry.shape)
    return layout.flatten(values)


def _from_array(given, n):
    array = _read_numbers(given)
    if array.shape not in ((n, n), (n,)):
        raise ProblemError(f"mass_matrix has shape {array.shape}, expected ({n}, {n}), or ({n},) for a diagonal")
    return array


def _read_numbers(given):
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"mass_matrix must hold numbers, got {given!r}") from None


def _check_semi_explicit(matrix):
    """What is singular must be so by rows and columns of zeros: algebraic equations for algebraic states."""
    rows, columns = np.any(matrix != 0, axis=1), np.any(matrix != 0, axis=0)
    block = matrix[np.ix_(rows, columns)]
    if block.shape[0] != block.shape[1] or (block.size and np.linalg.matrix_rank(block) < len(block)):
        raise ProblemError(
            "mass_matrix is singular beyond its rows and columns of zeros: write algebraic equations as rows of zeros, "
            "one for each state without a derivative (a column of zeros)"
        )
