"""Products with constant sparse matrices (``scipy.sparse``), without ever making them dense where they are large."""

import numpy as np

from .creation import join
from .indexing import take_along
from .lifting import elementwise, lift, record, to_float
from .source import trace_error
from .stencils import cut
from .tracer import Traced

MOST_DIAGONALS = 16  # as slices
MOST_IN_A_ROW = 32  # as gathers
LARGEST_DENSE = 1_000_000


def is_sparse(value) -> bool:
    """Whether a value is a sparse matrix or array."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz")


def sparse_product(matrix, value) -> Traced:
    """``matrix @ value``: a few products of diagonals, or of gathered elements, added up."""
    value = to_float(value)
    if value.ndim not in (1, 2) or matrix.shape[1] != value.shape[0]:
        raise trace_error(f"sparse matrix of shape {matrix.shape} @ array of shape {value.shape}", "Check the sizes.")
    csr = matrix.tocsr().copy()
    csr.sum_duplicates()
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    offsets = np.unique(csr.indices - rows)
    in_a_row = int(np.diff(csr.indptr).max(initial=0))
    if len(offsets) <= MOST_DIAGONALS:
        terms = [_diagonal_term(csr, rows, int(offset), value) for offset in offsets]
    elif in_a_row <= MOST_IN_A_ROW:
        terms = [_gathered_term(csr, rows, slot, value) for slot in range(in_a_row)]
    elif csr.shape[0] * csr.shape[1] <= LARGEST_DENSE:
        return record("matmul", np.asarray(csr.toarray(), dtype=float), value)
    else:
        raise trace_error(
            f"a sparse matrix of shape {csr.shape} with up to {in_a_row} elements in a row is too dense to be traced",
            "Split it into a sum of sparser ones, or into low-rank factors.",
        )
    total = lift(np.zeros((csr.shape[0], *value.shape[1:]))) if not terms else terms[0]
    for term in terms[1:]:
        total = elementwise("add", total, term)
    return total


def _weights(array, value):
    return array if value.ndim == 1 else array[:, None]


def _diagonal_term(csr, rows, offset, value):
    """One diagonal times the value, with zeros above and below it."""
    chosen = csr.indices - rows == offset
    first, last = int(rows[chosen].min()), int(rows[chosen].max()) + 1
    weights = np.zeros(last - first)
    weights[rows[chosen] - first] = csr.data[chosen]
    term = elementwise("mul", _weights(weights, value), cut(value, 0, first + offset, last + offset))
    zeros = [np.zeros((n, *value.shape[1:])) for n in (first, csr.shape[0] - last)]
    parts = [part for part in (zeros[0], term, zeros[1]) if part.shape[0]]
    return join([lift(part) for part in parts], 0)


def _gathered_term(csr, rows, slot, value):
    """The elements number ``slot`` of all rows; a row that has fewer counts its first column with weight zero."""
    counts = np.diff(csr.indptr)
    has = counts > slot
    columns, weights = np.zeros(len(counts), dtype=int), np.zeros(len(counts))
    columns[counts > 0] = csr.indices[csr.indptr[:-1][counts > 0]]
    columns[has] = csr.indices[csr.indptr[:-1][has] + slot]
    weights[has] = csr.data[csr.indptr[:-1][has] + slot]
    return elementwise("mul", _weights(weights, value), take_along(value, columns, 0))
