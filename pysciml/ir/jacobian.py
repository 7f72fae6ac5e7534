"""The Jacobian and the slope in time of a right-hand side, as Programs of ``t, u, p``."""

import numpy as np

from .derivatives import TANGENT, TangentWalk, jvp
from .expand import expand_networks
from .lanes import batch_program
from .program import Program, ProgramBuilder
from .rewrite import remove_dead_nodes
from .simplify import Writer, simplify_program
from .unroll import Unrolled


def time_gradient(program: Program) -> Program:
    """The Program of the derivative of a right-hand side with respect to ``t``; its output is ``dT (n,)``."""
    tangents = _bind_input(jvp(program, ["t"]), TANGENT + "t", np.array(1.0))
    return _renamed(simplify_program(tangents), "dT")


def unrolled_jacobian(program: Program) -> tuple[Program, np.ndarray, np.ndarray]:
    """The Jacobian of a right-hand side by ``u``, one scalar expression an entry: for small systems.

    Returns
    -------
    program : Program
        Its output ``values (entry,)`` holds the entries that aren't identically zero, by column, then by row.
    rows, columns : array of int, shape (entry,)
        Where they stand, from 0.
    """
    unrolled = Unrolled(simplify_program(expand_networks(program)))
    (u,) = (k for k, item in enumerate(program.inputs) if item.name == "u")
    builder = ProgramBuilder(program.inputs)
    walk = TangentWalk(unrolled.program, builder)
    rows, columns, entries = [], [], []
    for column, element in enumerate(unrolled.inputs[u]):
        found = walk.push({int(element): walk.node(1.0)})
        for row, output in enumerate(unrolled.outputs[0]):
            tangent = found.get(int(output))
            if tangent is not None:
                rows.append(row)
                columns.append(column)
                entries.append(tangent)
    values = walk.op("stack", *entries) if entries else walk.node(np.zeros(0))
    jacobian = simplify_program(builder.build([("values", values)]))
    return jacobian, np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


def compressed_jacobian(program: Program, rows: np.ndarray, columns: np.ndarray, colors: np.ndarray) -> Program:
    """The Jacobian of a right-hand side by ``u`` from one product with tangents a colour, all in one walk.

    Parameters
    ----------
    program : Program
    rows, columns : array of int, shape (entry,)
        The entries wanted, a superset of those that aren't zero.
    colors : array of int, shape (n,)
        A colour a column, from 0, such that columns of one colour have no row in common.

    Returns
    -------
    Program
        Its output ``values (entry,)`` holds the entries.

    References
    ----------
    Curtis, Powell, Reid (1974), On the estimation of sparse Jacobian matrices, doi:10.1093/imamat/13.1.117
    """
    n, n_colors = len(colors), int(colors.max(initial=-1)) + 1
    seeds = np.zeros((n_colors, n))
    seeds[colors, np.arange(n)] = 1.0
    tangents = batch_program(jvp(program, ["u"]), [TANGENT + "u"], n_colors)
    bound = simplify_program(_bind_input(tangents, TANGENT + "u", seeds))
    indices = colors[columns] * n + rows
    builder = ProgramBuilder()
    new = _copy_nodes(bound, builder)
    writer = Writer(builder, {}, None)
    values = writer.emit("gather", (new[bound.outputs[0].node],), (tuple(indices.tolist()), (len(indices),)))
    return remove_dead_nodes(builder.build([("values", values)]))


def _copy_nodes(program, builder, bound=None):
    """All nodes of a Program in another builder, with some inputs replaced by arrays; their new positions."""
    new: list[int] = []
    for node in program.nodes:
        if node.op == "input":
            item = program.inputs[node.attrs[0]]
            if bound and item.name in bound:
                new.append(builder.constant(bound[item.name]))
            else:
                new.append(builder.add_input(item.name, item.shape))
        elif node.op == "constant":
            new.append(builder.constant(program.constants[node.attrs[0]]))
        else:
            new.append(builder.add(node.op, (new[i] for i in node.args), node.attrs, node.origin))
    return new


def _bind_input(program, name, value):
    """The same function with one input fixed."""
    builder = ProgramBuilder()
    new = _copy_nodes(program, builder, {name: value})
    return builder.build((output.name, new[output.node]) for output in program.outputs)


def _renamed(program, name):
    builder = ProgramBuilder()
    new = _copy_nodes(program, builder)
    return builder.build([(name, new[program.outputs[0].node])])
