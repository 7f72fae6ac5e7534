"""Which derivatives of a right-hand side are generated, and in which form: decided by size and density."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...ir.derivatives import jvp
from ...ir.expand import expand_networks
from ...ir.jacobian import compressed_jacobian, time_gradient, unrolled_jacobian
from ...ir.lanes import widen_program
from ...ir.outer import Block, factor_output
from ...ir.program import Program
from ...ir.reverse import COTANGENT, vjp
from ...ir.simplify import simplify_program
from ...ir.sparsity import find_pattern
from ...ir.unroll import count_operations

FEW_STATES = 40  # to this size, and to so many operations, each entry of a Jacobian is an expression of its own
FEW_OPERATIONS = 400
MOST_UNROLLED = 2000  # operations of an unrolled Jacobian: compiling them takes a tenth of a second
LARGEST_DENSE = 500  # states; a larger matrix is sparse or not made
# A factorisation of a sparse matrix of 100 to 500 states is faster than a dense one's for grids in space (5 entries a
# column: 15 to 400 times in one dimension, 3 to 20 in two), and slower for random patterns of more than some 2 %.
SPARSE_FROM = 100
FEW_ENTRIES = 6  # a column
DENSEST, DENSEST_LARGE = 0.02, 0.1  # share of nonzero entries, to LARGEST_DENSE states and from there
# Sparse matrices are factored by KLU where its analysis foretells at most 60 floating-point operations an entry of the
# factors (julia/src/options.jl), else by UMFPACK. Seconds of a warm Rodas5P solve by KLU and UMFPACK: line of 1e3 cells
# 0.0023, 0.0045; 1e4 0.016, 0.042; 1e5 0.22, 0.71; Brusselator of 16^2 0.029, 0.047; 32^2 0.32, 0.23; 64^2 3.6, 1.7
# (benchmarks/linear_solvers.py). One more factorisation and two solves, UMFPACK's time over KLU's, by operations an
# entry: 0.7 6.5 to 11, 20 5.4, 40 3.5, 36 1.9, 45 1.5, 71 1.1, 75 0.65, 92 0.65, 170 0.32 (benchmarks/factors.jl).
# To this size stiff lanes pay: Rodas5P over lanes is 7 times as quick as over threads for 3 states, 2.7 for 10, 1.2 for
# 20, where compiling the Jacobian's loops takes seconds.
FEW_WIDE_STATES, MOST_WIDE = 12, 250  # states, and operations of the Jacobian's entries
MOST_TANGENTS = 50_000_000  # numbers in an array of tangents, one an element and colour

PARAMETERS = COTANGENT + "p"

# (starts, rows) of a pattern by columns -> a colour a column
Coloring = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Programs of ``t, u, p`` that a solver may ask for.

    ``entries`` gives the Jacobian's elements at ``rows`` and ``columns``, or is None where they would cost too much;
    ``time`` is the derivative with respect to t; ``product`` takes a tangent of u as a fourth input.
    """

    entries: Program | None
    rows: np.ndarray
    columns: np.ndarray
    is_sparse: bool
    time: Program
    product: Program


def derive(program: Program, color: Coloring) -> Derivatives:
    """The derivatives of a right-hand side, by the rule that the constants above state."""
    expanded = simplify_program(expand_networks(program))
    return Derivatives(*_derive_jacobian(expanded, color), time_gradient(expanded), jvp(expanded, ["u"]))


@dataclass(frozen=True, eq=False)
class Wide:
    """A right-hand side of several lanes and what it is for; ``derivatives`` has each entry of a lane for all lanes."""

    program: Program
    lanes: int
    derivatives: Derivatives | None = None


@lru_cache(maxsize=64)
def widen(program: Program, lanes: int, varied: Sequence[int], is_stiff: bool) -> Wide | None:
    """A right-hand side of several lanes, each with its own of the parameters at the places ``varied``.

    With derivatives for a stiff method; None if its Jacobian is too large.
    """
    wide = widen_program(program, lanes, varied)
    if not is_stiff:
        return Wide(wide, lanes)
    if wide.nodes[wide.outputs[0].node].size > FEW_WIDE_STATES * lanes:
        return None
    found = _unroll_jacobian(simplify_program(expand_networks(program)))
    if found is None or len(found[0].nodes) > MOST_WIDE:
        return None
    entries, rows, columns = found
    entries = widen_program(entries, lanes, varied)
    derivatives = Derivatives(entries, rows, columns, False, time_gradient(wide), jvp(wide, ["u"]))
    return Wide(wide, lanes, derivatives)


class Pullback(NamedTuple):
    """Cotangents of inputs, of which those ``added`` are added to, and what becomes of those given by factors."""

    program: Program
    added: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


def derive_pullback(program: Program, has_factors: bool = True) -> Pullback:
    """Cotangents of a Program's inputs, its input ``t`` apart, from those of its outputs.

    Those of parameters are added, or, of a right-hand side, they may be given by their factors. An element of other
    Programs whose cotangent is 0 adds nothing, be it NaN.
    """
    if program.outputs[0].name == "du":
        found, blocks = vjp(program, ["u", "p"]), ()
        if has_factors:
            found, blocks = factor_output(found, PARAMETERS)
        return Pullback(found, () if blocks else (PARAMETERS,), blocks)
    names = [item.name for item in program.inputs if item.name != "t"]
    return Pullback(vjp(program, names, zeros_win=True), (PARAMETERS,))


def derive_event_pullback(program: Program) -> Pullback:
    """Cotangents of ``t``, ``u`` and ``p`` from those of what an effect or a condition gives."""
    return Pullback(vjp(program, ["t", "u", "p"], zeros_win=True))


def derive_second(program: Program) -> Pullback:
    """Cotangents of ``u`` and ``p`` from one of a right-hand side's product with a tangent of ``t, u``."""
    return Pullback(vjp(jvp(program, ["t", "u"]), ["u", "p"]), (PARAMETERS,))


def _derive_jacobian(program, color):
    """Entries, rows, columns, and whether they make a sparse matrix."""
    n = program.nodes[program.outputs[0].node].size
    found = _unroll_jacobian(program)
    if found is not None:
        return *found, False
    pattern = find_pattern(program)
    is_sparse = pattern is not None and _is_sparse(n, len(pattern.columns))
    if pattern is not None and (is_sparse or n <= LARGEST_DENSE):
        rows, columns = (pattern.with_diagonal() if is_sparse else pattern).by_column()
        starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=n))])
        colors = color(starts, rows)
        if (colors.max(initial=0) + 1) * n <= MOST_TANGENTS:
            return compressed_jacobian(program, rows, columns, colors), rows, columns, is_sparse
    nothing = np.zeros(0, dtype=np.int64)
    return None, nothing, nothing, False


def _unroll_jacobian(program):
    """Entries, rows and columns of a small system; None if there were too many operations."""
    if program.nodes[program.outputs[0].node].size > FEW_STATES or count_operations(program) > FEW_OPERATIONS:
        return None
    found = unrolled_jacobian(program)
    return found if len(found[0].nodes) <= MOST_UNROLLED else None


def _is_sparse(n, n_entries):
    """Whether a Jacobian's matrix is stored and factored as a sparse one."""
    share = DENSEST if n <= LARGEST_DENSE else DENSEST_LARGE
    return n >= SPARSE_FROM and n_entries <= max(FEW_ENTRIES * n, share * n * n)
