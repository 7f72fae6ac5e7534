"""Programs for a reader: one equation a line, in infix form with as few parentheses as Python needs.

What is shown is the simplified Program; reshaping and broadcasting are left out, long expressions and long lists of
equations end in ``...``. It is not meant to be read back.
"""

from typing import NamedTuple

import numpy as np

from .program import Program
from .simplify import simplify_program

_MOST_TEXT = 400  # of an expression on the way: shared nodes are written out wherever they are used
_MOST_WIDTH = 160

_ATOM, _POWER, _SIGN, _PRODUCT, _SUM, _COMPARISON, _NOT, _AND, _OR = range(9, 0, -1)
_INFIX = {
    **{"add": ("+", _SUM), "sub": ("-", _SUM), "mul": ("*", _PRODUCT), "div": ("/", _PRODUCT)},
    **{"matmul": ("@", _PRODUCT), "pow": ("**", _POWER), "logical_and": ("and", _AND), "logical_or": ("or", _OR)},
    **{"less": ("<", _COMPARISON), "less_equal": ("<=", _COMPARISON), "greater": (">", _COMPARISON)},
    **{"greater_equal": (">=", _COMPARISON), "equal": ("==", _COMPARISON), "not_equal": ("!=", _COMPARISON)},
}


class _Text(NamedTuple):
    """An expression and how tightly its outermost operation binds."""

    text: str
    binds: int = _ATOM

    def at(self, least: int) -> str:
        """In parentheses if it binds less than ``least``."""
        return self.text if self.binds >= least else f"({self.text})"


def format_equations(
    program: Program,
    input_labels: dict[str, list[str]] | None = None,
    output_labels: dict[str, list[str]] | None = None,
    most_lines: int = 12,
) -> list[str]:
    """Lines such as ``hare' = birth * hare - kill * hare * lynx``, one an equation.

    Parameters
    ----------
    program : Program
    input_labels, output_labels : dict, optional
        Name of an input or output to one label for each of its elements in C order; elements of one array are
        labelled ``name[index]``, and a range of them is then written as a slice of ``name``. What has no fitting
        labels is called by its own name.
    most_lines : int, default 12
        More equations than these end in a line ``...``.
    """
    program = simplify_program(program)
    writer = _Writer(program, input_labels or {})
    lines = []
    for output in program.outputs:
        size = program.nodes[output.node].size
        labels = _fitting_labels(output.name, program.nodes[output.node].shape, (output_labels or {}).get(output.name))
        first = 0
        for piece in _pieces(program, output.node, most_lines + 1):
            n = program.nodes[piece].size if piece != -1 else size - first
            if n:
                lines.append(_clip(f"{_name_range(labels, range(first, first + n))} = {writer.texts[piece].text}"))
            first += n
    return lines if len(lines) <= most_lines else [*lines[:most_lines], "..."]


def _clip(text, most=_MOST_WIDTH):
    return text if len(text) <= most else text[: most - 3] + "..."


def _fitting_labels(name, shape, labels):
    """One label an element."""
    size = int(np.prod(shape, dtype=int))
    if labels is not None and len(labels) == size:
        return [str(label) for label in labels]
    if shape == ():
        return [name]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(shape)]


def _name_range(labels, places):
    """What a range of elements is called: a label, a name, a slice of a name."""
    if len(places) == 1:
        return labels[places[0]]
    names = {labels[i].partition("[")[0] for i in places}
    first, last = labels[places[0]], labels[places[-1]]
    if len(names) != 1 or "[" not in first:
        return f"[{first}, ..., {last}]" if len(places) > 2 else f"[{first}, {last}]"
    (name,) = names
    if places.step == 1 and len(places) == sum(label.partition("[")[0] == name for label in labels):
        return name
    start, stop = (label.partition("[")[2].rstrip("]") for label in (first, last))
    if not (start.isdecimal() and stop.isdecimal()):
        return f"{name}[{start} ... {stop}]"
    return f"{name}[{_slice_text(int(start), len(places), places.step)}]"


def _slice_text(start, length, step):
    """A slice as Python writes it."""
    stop = start + length * step
    return f"{start}:{stop if stop >= 0 else ''}" + (f":{step}" if step != 1 else "")


def _pieces(program, position, most):
    """Nodes that follow each other in the memory of a node, at most some; -1 for what is left out."""
    found, waiting = [], [position]
    while waiting:
        if len(found) == most:
            return [*found, -1]
        node = program.nodes[waiting[-1]]
        if node.op == "stack" or node.op == "concatenate" and node.attrs == (0,):
            waiting[-1:] = reversed(node.args)
        elif node.op == "reshape":
            waiting[-1] = node.args[0]
        else:
            found.append(waiting.pop())
    return found


class _Writer:
    """The text of every node."""

    def __init__(self, program, input_labels):
        self.program = program
        self.labels = {
            item.name: _fitting_labels(item.name, item.shape, input_labels.get(item.name)) for item in program.inputs
        }
        self.texts = {-1: _Text("...")}
        for position, node in enumerate(program.nodes):
            text = self._write(node, [self.texts[i] for i in node.args])
            self.texts[position] = text if len(text.text) <= _MOST_TEXT else _Text(_clip(text.text, _MOST_TEXT))

    def _write(self, node, args):
        """One node, given the texts of its arguments."""
        if node.op in _INFIX:
            return _write_infix(node.op, *args)
        if node.op in _FORMS:
            return _FORMS[node.op](self, node, args)
        return _Text(f"{node.op}({', '.join(arg.text for arg in args)})")

    def input_name(self, node):
        return self.program.inputs[node.attrs[0]].name


def _write_infix(op, left, right):
    symbol, binds = _INFIX[op]
    if op == "pow":
        return _Text(f"{left.at(_ATOM)} ** {right.at(_ATOM)}", binds)
    sign = right.text.startswith("-")
    tight = left.at(binds if binds != _COMPARISON else binds + 1)
    return _Text(f"{tight} {symbol} {f'({right.text})' if sign else right.at(binds + 1)}", binds)


def _write_input(writer, node, args):
    labels = writer.labels[writer.input_name(node)]
    return _Text(_name_range(labels, range(len(labels))) if labels else "[]")


def _write_constant(writer, node, args):
    value = writer.program.constants[node.attrs[0]]
    if not value.size:
        return _Text("[]")
    if np.all(value == value.flat[0]) or value.size == 1:
        return _write_number(value.flat[0])
    if value.ndim == 1 and value.size <= 6:
        return _Text(f"[{', '.join(_write_number(v).text for v in value)}]")
    return _Text(f"array{value.shape}")


def _write_number(value):
    text = str(value) if isinstance(value, np.bool_) else f"{value:.6g}"
    return _Text(text, _SIGN if text.startswith("-") else _ATOM)


def _write_slice(writer, node, args):
    """A range of an input by its labels, else a subscript."""
    inner = writer.program.nodes[node.args[0]]
    starts, lengths, steps = node.attrs
    if inner.op == "input" and len(starts) == 1 and lengths[0]:
        places = range(starts[0], starts[0] + lengths[0] * steps[0], steps[0])
        return _Text(_name_range(writer.labels[writer.input_name(inner)], places))
    parts = []
    for n, start, length, step in zip(inner.shape, starts, lengths, steps, strict=True):
        whole = (start, length, step) == (0, n, 1) and n != 1
        parts.append(":" if whole else str(start) if length == 1 else _slice_text(start, length, step))
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    return _Text(f"{args[0].at(_ATOM)}[{', '.join(parts)}]")


def _write_gather(writer, node, args):
    inner, (indices, _) = writer.program.nodes[node.args[0]], node.attrs
    listed = _clip(", ".join(map(str, indices[:8])) + (", ..." if len(indices) > 8 else ""))
    if inner.op == "input" and len(indices) == 1:
        return _Text(writer.labels[writer.input_name(inner)][indices[0]])
    return _Text(f"{args[0].at(_ATOM)}[{listed if len(indices) == 1 else f'[{listed}]'}]")


def _write_reduction(writer, node, args):
    axes, rank = node.attrs[0], len(writer.program.nodes[node.args[0]].shape)
    axes = axes if isinstance(axes, tuple) else (axes,)
    if len(axes) == rank:
        return _Text(f"{node.op}({args[0].text})")
    return _Text(f"{node.op}({args[0].text}, axis={axes[0] if len(axes) == 1 else axes})")


def _write_set(writer, node, args):
    """A base with some of its elements set."""
    if node.op == "scatter":
        place = _clip(", ".join(map(str, node.attrs[0])), 40)
    else:
        place = ", ".join(str(s) if n == 1 else _slice_text(s, n, k) for s, n, k in zip(*node.attrs, strict=True))
    return _Text(f"{node.op}({args[0].text}, [{place}] = {args[1].text})")


_FORMS = {
    "input": _write_input,
    "constant": _write_constant,
    "slice": _write_slice,
    "gather": _write_gather,
    **dict.fromkeys(("sum", "prod", "max", "min", "cumsum"), _write_reduction),
    **dict.fromkeys(("update", "scatter"), _write_set),
    **dict.fromkeys(("reshape", "broadcast", "to_float"), lambda writer, node, args: args[0]),
    "stack": lambda writer, node, args: _Text(f"[{', '.join(arg.text for arg in args)}]"),
    "neg": lambda writer, node, args: _Text(f"-{args[0].at(_POWER)}", _SIGN),
    "logical_not": lambda writer, node, args: _Text(f"not {args[0].at(_ATOM)}", _NOT),
    "integer_power": lambda writer, node, args: _Text(f"{args[0].at(_ATOM)} ** {node.attrs[0]}", _POWER),
    "network": lambda writer, node, args: _Text(f"{args[0].at(_ATOM)}({args[1].text})"),
}
