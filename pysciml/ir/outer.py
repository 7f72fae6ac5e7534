"""Outer products that a Program only puts out: their factors in their place.

The cotangent of a layer's weights is the outer product of what goes in and of the cotangent of what comes out. Who sums
such cotangents over many points does better to keep the factors, as columns of two matrices: the sum is their product.
"""

from typing import NamedTuple

import numpy as np

from .program import Output, Program, ProgramBuilder
from .rewrite import inline_program
from .simplify import simplify_program

LEAST = 4000  # elements of all outer products, from which keeping factors pays


class Block(NamedTuple):
    """A part of the output, from ``start``: ``rows * columns`` elements in C order.

    They are the outer product of the factors that begin at ``left (rows,)`` and ``right (columns,)``; where ``columns``
    is 0, the ``rows`` elements that begin at ``left``.
    """

    start: int
    rows: int
    columns: int
    left: int
    right: int


def factor_output(program: Program, name: str) -> tuple[Program, tuple[Block, ...]]:
    """The same Program with the factors of an output's outer products in place of that output, which is a vector.

    Returns
    -------
    program : Program
        Unchanged if there are few such products.
    blocks : tuple of Block
        What becomes of the factors; empty if the Program is unchanged.
    """
    (position,) = (output.node for output in program.outputs if output.name == name)
    node = program.nodes[position]
    parts = node.args if node.op == "concatenate" else (position,)
    pairs = [_find_factors(program, i) for i in parts]
    if sum(program.nodes[i].size for i, pair in zip(parts, pairs, strict=True) if pair) < LEAST:
        return program, ()
    kept = [pair or (i,) for i, pair in zip(parts, pairs, strict=True)]
    builder = ProgramBuilder()
    arguments = [builder.add_input(item.name, item.shape) for item in program.inputs]
    flat = [k for pair in kept for k in pair]
    outputs = [output.node for output in program.outputs if output.name != name]
    found = iter(inline_program(builder, _with_outputs(program, [*outputs, *flat]), arguments))
    results = {output.name: next(found) for output in program.outputs if output.name != name}
    factors = [builder.add("reshape", (k,), ((builder.nodes[k].size,),)) for k in found]
    results[name] = builder.add("concatenate", factors, (0,))
    blocks = tuple(_list_blocks(program, kept))
    return simplify_program(builder.build((output.name, results[output.name]) for output in program.outputs)), blocks


def _with_outputs(program, positions):
    """The nodes of a Program with other outputs."""
    outputs = tuple(Output(str(k), i) for k, i in enumerate(positions))
    return Program(program.nodes, program.constants, program.inputs, outputs)


def _find_factors(program, position):
    """The column and the row whose product a part is, in C order; None if it isn't one, or small."""
    node = program.nodes[position]
    while node.op == "reshape":
        node = program.nodes[node.args[0]]
    if node.op != "mul" or len(node.shape) != 2 or min(node.shape) < 2:
        return None
    shapes = {program.nodes[i].shape: i for i in node.args}
    column, row = (node.shape[0], 1), (1, node.shape[1])
    return (shapes[column], shapes[row]) if shapes.keys() == {column, row} else None


def _list_blocks(program, kept):
    start = place = 0
    for pair in kept:
        sizes = [int(np.prod(program.nodes[i].shape)) for i in pair]
        if len(pair) == 2:
            yield Block(start, *sizes, place, place + sizes[0])
            start += sizes[0] * sizes[1]
        else:
            yield Block(start, sizes[0], 0, place, place)
            start += sizes[0]
        place += sum(sizes)
