"""Program -> readable Julia text of a function that writes into its first arguments and allocates nothing.

The function takes the outputs, the inputs (both in the Program's order) and ``w``, which holds working memory by
number type and the constant arrays. A right-hand side is ``function (du, t, u, p, w)``. Arrays are flat, in C order.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from ...ir.expand import expand_networks
from ...ir.narrow import expand_narrow_products
from ...ir.ops import BOOL
from ...ir.program import Program
from ...ir.simplify import simplify_program
from .printer_loops import INDEPENDENT, SUM, LoopWriter
from .printer_ops import ELEMENTWISE, REDUCTIONS, index, literal, loop_names, shift
from .printer_plan import align, c_strides, collapse

FEW = 8  # indices that are written out one by one
FIELDS = {"c": "constants", "cb": "constant_flags", "ix": "indices"}


@dataclass(frozen=True, eq=False)
class PrintedProgram:
    """Julia text, and what its argument ``w`` must hold.

    ``constants``, ``flags`` and ``indices`` are all constant arrays of a kind one after the other; ``n_numbers`` and
    ``n_flags`` are lengths of working memory.
    """

    text: str
    constants: np.ndarray
    flags: np.ndarray
    indices: np.ndarray
    n_numbers: int
    n_flags: int


def print_program(program: Program) -> str:
    """The Julia text of a Program: deterministic, and free of any text of the user's."""
    return print_parts(program).text


def print_parts(program: Program, added: Collection[str] = (), has_numbers: bool = True) -> PrintedProgram:
    """The Julia text of a Program, with its constants and the sizes of its working memory.

    To the outputs named in ``added`` the function adds, in place of overwriting them. Unless the text ``has_numbers``,
    Programs that differ in constants alone have the same one.
    """
    expanded = expand_narrow_products(simplify_program(expand_networks(program)))
    writer = LoopWriter(simplify_program(expanded), added, has_numbers)
    for i in writer.plan.live:
        if i not in writer.plan.fused and not writer.plan.is_view(i):
            PRINT[writer.nodes[i].op](writer, i)
            writer.free_after(i)
    for name, output in zip(writer.output_names, writer.program.outputs, strict=True):
        if writer.claims.get(writer.plan.where[output.node].owner) != name:
            writer.assign(name, 0, c_strides(writer.nodes[output.node].shape), output.node)
    return PrintedProgram(
        _join(writer),
        np.concatenate([np.zeros(0), *map(np.ravel, writer.constants)]),
        np.concatenate([np.zeros(0, bool), *map(np.ravel, writer.flags)]),
        np.array(writer.indices, dtype=np.int64),
        writer.numbers.length,
        writer.booleans.length,
    )


def _join(writer):
    """The whole function around the lines that were written."""
    inputs = ", ".join(writer.input_names)
    lines = [f"function ({', '.join((*writer.output_names, *writer.input_names, 'w'))})"]
    if writer.numbers.length or any("(T" in line for line in writer.lines):
        lines += [f"    T = number_type({inputs})"]
    lines += ["    q = numbers(w, T)"] * bool(writer.numbers.length)
    lines += ["    b = w.flags"] * bool(writer.booleans.length)
    for name, kept in (("c", writer.constants), ("cb", writer.flags), ("ix", writer.indices)):
        lines += [f"    {name} = w.{FIELDS[name]}"] * bool(kept)
    return "\n".join([*lines, "    @inbounds begin", *writer.lines, "    end", "    return nothing", "end", ""])


def _print_leaf(writer, i):
    node = writer.nodes[i]
    if node.op == "input":
        name = writer.input_names[node.attrs[0]]
        writer.place[i] = (name, 0) if node.shape else name
        return
    value = writer.program.constants[node.attrs[0]]
    if not node.shape and (writer.has_numbers or node.dtype == BOOL):
        writer.place[i] = literal(value[()])
        return
    name, kept = ("cb", writer.flags) if node.dtype == BOOL else ("c", writer.constants)
    start = sum(constant.size for constant in kept)
    writer.place[i] = (name, start) if node.shape else f"{name}[{start + 1}]"
    kept.append(value)


def _print_reduction(writer, i):
    """An accumulator in the innermost loops, over the reduced axes."""
    node, (argument,) = writer.nodes[i], writer.nodes[i].args
    shape, (axes,) = writer.nodes[argument].shape, node.attrs
    kept = [k for k in range(len(shape)) if k not in axes]
    leaves = writer.leaves(argument)
    strides = [align(writer.plan.where[leaf].strides, writer.nodes[leaf].shape, shape) for leaf in leaves]
    over = collapse([shape[k] for k in kept], [c_strides(node.shape), *([s[k] for k in kept] for s in strides)])
    within = collapse([shape[k] for k in axes], [[s[k] for k in axes] for s in strides])
    if _is_across(over[1][1:], within[1]):
        return _print_reduction_across(writer, i, leaves, over, within)
    names = loop_names(len(over[0]) + len(within[0]))
    outer, inner = names[: len(over[0])], names[len(over[0]) :]
    texts = {
        leaf: writer.element(leaf, (*a, *b), names) for leaf, a, b in zip(leaves, over[1][1:], within[1], strict=True)
    }
    value = writer.expression(argument, texts)
    start, step = REDUCTIONS[node.op]
    target = writer.new(i) if node.shape else None
    writer.open(over[0], outer)
    accumulator = writer.accumulator(bool(over[0])) if target else writer.new_local(i)
    writer.line(f"{accumulator} = {start}")
    writer.open(within[0], inner, simd=SUM)
    writer.line(step.format(s=accumulator, x=value))
    writer.close(within[0])
    if target:
        writer.line(f"{target[0]}[{index(target[1], over[1][0], outer)}] = {accumulator}")
    writer.close(over[0])


def _is_across(over, within):
    """Whether neighbours in memory belong to different sums."""
    return any(a[-1:] == (1,) for a in over) and all(b[-1:] != (1,) for b in within)


def _print_reduction_across(writer, i, leaves, over, within):
    """All sums at once, row by row of what they are sums of."""
    node, start = writer.nodes[i], REDUCTIONS[writer.nodes[i].op][0]
    names = loop_names(len(within[0]) + len(over[0]))
    outer, inner = names[: len(within[0])], names[len(within[0]) :]
    texts = {
        leaf: writer.element(leaf, (*b, *a), (*outer, *inner))
        for leaf, a, b in zip(leaves, over[1][1:], within[1], strict=True)
    }
    value = writer.expression(node.args[0], texts)
    name, offset = writer.new(i)
    if _is_sum_of_rows(node, value, texts.values(), over, within):
        source, place, _ = writer.address(leaves[0])
        writer.line(f"np_sum_rows!({name}, {offset}, {source}, {place}, {within[0][0]}, {over[0][0]})")
        return
    whole = loop_names(1)
    writer.open([node.size], whole, simd=INDEPENDENT)
    writer.line(f"{name}[{index(offset, (1,), whole)}] = {start}")
    writer.close(whole)
    writer.open((*within[0], *over[0]), names, simd=INDEPENDENT)
    target = f"{name}[{index(offset, over[1][0], inner)}]"
    writer.line(REDUCTIONS[node.op][1].format(s=target, x=value))
    writer.close(names)


def _is_sum_of_rows(node, value, texts, over, within):
    """Whether sums are of the columns of a matrix that lies in memory, in C order."""
    is_matrix = len(over[0]) == len(within[0]) == 1 and over[1] == [(1,), (1,)] and within[1] == [over[0]]
    return node.op == "sum" and is_matrix and [value] == list(texts) and value.endswith("]")


def _print_cumsum(writer, i):
    node, (argument,) = writer.nodes[i], writer.nodes[i].args
    (axis,), shape = node.attrs, node.shape
    source, start, strides = writer.address(argument)
    name, offset = writer.new(i)
    order = [*(k for k in range(len(shape)) if k != axis), axis]
    names = loop_names(len(order))
    sizes = [shape[k] for k in order]
    writer.open(sizes[:-1], names[:-1])
    s = writer.accumulator(len(sizes) > 1)
    writer.line(f"{s} = zero(T)")
    writer.open(sizes[-1:], names[-1:])
    writer.line(f"{s} += {source}[{index(start, tuple(strides[k] for k in order), names)}]")
    writer.line(f"{name}[{index(offset, tuple(c_strides(shape)[k] for k in order), names)}] = {s}")
    writer.close(sizes)


def _print_matmul(writer, i):
    """Loops over leading axes around one product of two matrices."""
    node = writer.nodes[i]
    (a, b), (m, k, n) = _matrices(writer, node)
    batch = node.shape[: max(len(writer.nodes[a].shape), len(writer.nodes[b].shape), 2) - 2]
    left, right = (_matrix_address(writer, j) for j in node.args)
    left = _matrix(left, writer.nodes[a].shape, batch, (m > 1, True))
    right = _matrix(right, writer.nodes[b].shape, batch, (True, n > 1))
    name, offset = writer.new(i)
    target = (name, offset, c_strides(node.shape)[: len(batch)])
    names = loop_names(len(batch))
    writer.open(batch, names)
    places = (f"{x[0]}, {shift(x[1], x[2], names)}" for x in (target, left, right))
    turned = ("true" if x[3][0] == 1 < x[3][1] else "false" for x in (left, right))
    writer.line(f"np_matmul!({', '.join(places)}, {m}, {k}, {n}, {', '.join(turned)})")
    writer.close(batch)


def _matrix_address(writer, i):
    """Where a matrix lies in C order, or its transpose does; copied there if neither."""
    address, shape = writer.address(i), writer.nodes[i].shape
    is_turned = len(shape) == 2 and min(shape) > 1 and address[2] == (1, shape[0])
    return address if is_turned else writer.dense_address(i)


def _matrices(writer, node):
    """The two arguments, and m, k, n of the product of an (m, k) with a (k, n) matrix."""
    a, b = node.args
    left, right = writer.nodes[a].shape, writer.nodes[b].shape
    return (a, b), (left[-2] if len(left) > 1 else 1, left[-1], right[-1] if len(right) > 1 else 1)


def _matrix(address, shape, batch, moves):
    """Array, offset, strides of the leading axes, and the two strides of the matrix: 0 along an axis of length 1."""
    name, offset, strides = address
    if len(shape) == 1:
        return name, offset, (0,) * len(batch), (strides[0], 0) if moves[0] else (0, strides[0])
    return (
        name,
        offset,
        align(strides[:-2], shape[:-2], batch),
        tuple(s * m for s, m in zip(strides[-2:], moves, strict=True)),
    )


def _print_copy(writer, i):
    """A reshape of elements that do not lie one after the other."""
    name, offset = writer.new(i)
    argument = writer.nodes[i].args[0]
    writer.assign(name, offset, c_strides(writer.nodes[argument].shape), argument)


def _print_pieces(writer, i):
    """Stack and concatenate: each argument into its own part."""
    node = writer.nodes[i]
    axis = node.attrs[0] if node.op == "concatenate" else None
    name, offset = writer.new(i)
    strides = c_strides(node.shape)
    for argument, given in zip(writer.plan.arguments[i], node.args, strict=True):
        if argument != given:
            writer.assign(name, offset, c_strides(writer.nodes[argument].shape), argument)
        else:
            writer.assign(name, offset, strides if axis is not None else strides[1:], argument)
        offset += strides[0] if axis is None else writer.nodes[given].shape[axis] * strides[axis]


def _print_gather(writer, i):
    node = writer.nodes[i]
    source, start, _ = writer.dense_address(node.args[0])
    name, offset = writer.new(i)
    for k, at in _steps(writer, node.attrs[0]):
        writer.line(f"{name}[{k(offset, 1)}] = {source}[{at(start)}]")
    writer.close(["i"] * (len(node.attrs[0]) > FEW))


def _print_scatter(writer, i):
    node = writer.nodes[i]
    name, offset = _print_base(writer, i)
    source, start, (step,) = writer.address(node.args[1])
    for k, at in _steps(writer, node.attrs[0]):
        writer.line(f"{name}[{at(offset)}] = {source}[{k(start, step)}]")
    writer.close(["i"] * (len(node.attrs[0]) > FEW))


def _steps(writer, indices):
    """For each of a few indices, or for a loop over a table of them: its place in the list, and itself, as text."""
    if len(indices) <= FEW:
        for k, at in enumerate(indices):
            yield (
                (lambda start, step, k=k: index(start + k * step, (), ())),
                (lambda start, at=at: index(start + at, (), ())),
            )
        return
    entry = f"ix[{index(len(writer.indices), (1,), ('i',))}]"
    writer.indices.extend(indices)
    writer.open([len(indices)], ["i"])
    yield lambda start, step: index(start, (step,), ("i",)), lambda start: index(start, (1,), (entry,), first=0)


def _print_base(writer, i):
    """Memory that holds the base of an update: the base's own where that is free, else a copy. Name and offset."""
    base = writer.nodes[i].args[0]
    if i in writer.plan.in_place:
        name, offset, _ = writer.address(base)
        return name, offset
    name, offset = writer.new(i)
    writer.assign(name, offset, c_strides(writer.nodes[base].shape), base)
    return name, offset


def _print_update(writer, i):
    node = writer.nodes[i]
    name, offset = _print_base(writer, i)
    starts, lengths, steps = node.attrs
    base = c_strides(node.shape)
    offset += sum(s * k for s, k in zip(base, starts, strict=True))
    strides = tuple(s * k for s, k in zip(base, steps, strict=True))
    writer.assign(name, offset, strides, node.args[1], tuple(lengths))


PRINT: dict[str, Callable] = {
    "input": _print_leaf,
    "constant": _print_leaf,
    **dict.fromkeys(ELEMENTWISE, LoopWriter.compute),
    **dict.fromkeys(REDUCTIONS, _print_reduction),
    "cumsum": _print_cumsum,
    "matmul": _print_matmul,
    **dict.fromkeys(("reshape", "broadcast", "transpose", "slice"), _print_copy),
    "stack": _print_pieces,
    "concatenate": _print_pieces,
    "gather": _print_gather,
    "update": _print_update,
    "scatter": _print_scatter,
    "network": lambda writer, i: None,
}
