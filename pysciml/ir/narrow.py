"""The pass that writes products of matrices with few columns by few rows out, as sums of elementwise products.

A layer of two inputs is then one loop, its activation included.
"""

from .program import Program, ProgramBuilder
from .rewrite import rewrite_program

FEW = 3  # terms of each sum


def expand_narrow_products(program: Program) -> Program:
    """The same function without ``matmul`` nodes whose sums have few terms."""

    def rule(builder: ProgramBuilder, position: int, new: list[int]) -> int | None:
        node = program.nodes[position]
        n_terms = program.nodes[node.args[0]].shape[-1] if node.op == "matmul" else 0
        if not 1 <= n_terms <= FEW:
            return None
        a, b = (new[i] for i in node.args)
        terms = [_term(builder, a, b, k, node.origin) for k in range(n_terms)]
        total = terms[0]
        for term in terms[1:]:
            total = builder.add("add", (total, term), (), node.origin)
        return total

    return rewrite_program(program, rule)


def _term(builder, a, b, k, origin):
    """The product of column k of a and of row k of b, where a vector is a row on the left and a column on the right."""
    left, right = builder.nodes[a].shape, builder.nodes[b].shape
    column = _cut(builder, a, len(left) - 1, k, origin)
    row = _cut(builder, b, max(len(right) - 2, 0), k, origin)
    if len(right) == 1:
        column = builder.add("reshape", (column,), (left[:-1],), origin)
        row = builder.add("reshape", (row,), ((),), origin)
    if len(left) == 1 < len(right):
        column = builder.add("reshape", (column,), ((),), origin)
        row = builder.add("reshape", (row,), ((*right[:-2], right[-1]),), origin)
    return builder.add("mul", (column, row), (), origin)


def _cut(builder, i, axis, k, origin):
    """Element k along an axis, which stays."""
    shape = builder.nodes[i].shape
    starts, lengths = [0] * len(shape), list(shape)
    starts[axis], lengths[axis] = k, 1
    return builder.add("slice", (i,), (tuple(starts), tuple(lengths), (1,) * len(shape)), origin)
