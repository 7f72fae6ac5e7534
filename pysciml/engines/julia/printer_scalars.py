"""Program -> Julia text of a function that gives its outputs as a tuple of numbers, and touches no memory.

The function is ``(t, u, p)``: what runs for many small problems at once, on a GPU too. It computes in the type of t.
"""

from collections.abc import Sequence

import numpy as np

from ...ir.evaluate import make_step
from ...ir.expand import expand_networks
from ...ir.ops import OPERATIONS
from ...ir.program import Program
from ...ir.simplify import simplify_program
from ...ir.unroll import Unrolled
from .printer_ops import index, literal, spell

EXTREMES = {"max": "np_maximum", "min": "np_minimum"}


def print_scalars(program: Program, places: Sequence[int] | None = None, size: int = 0) -> str:
    """The text of a Program of ``t, u, p``; with ``places`` in a tuple of that size, zero elsewhere."""
    unrolled = Unrolled(simplify_program(expand_networks(program))).program
    writer = _ScalarWriter(unrolled)
    values = [writer.texts[writer.elements[output.node].item()] for output in unrolled.outputs]
    if places is not None:
        found = dict(zip(places, values, strict=True))
        values = [found.get(k, "zero(T)") for k in range(size)]
    lines = ["function (t, u, p)", "    T = typeof(t)", "    @inbounds begin", *writer.lines]
    return "\n".join([*lines, f"        ({' '.join(f'{value},' for value in values)})", "    end", "end", ""])


class _ScalarWriter:
    """Lines of an unrolled Program; ``elements`` are each node's places among ``texts``."""

    def __init__(self, program: Program):
        self.program = program
        self.lines: list[str] = []
        self.texts: list[str] = []
        self.elements: list[np.ndarray] = []
        for node in program.nodes:
            arguments = [self.elements[i] for i in node.args]
            if OPERATIONS[node.op].kind == "structural":
                self.elements.append(np.asarray(make_step(node)(*arguments)))
            else:
                texts = self._leaf(node) if not arguments else [self._local(self._value(node, arguments))]
                start = len(self.texts)
                self.texts += texts
                self.elements.append(np.arange(start, len(self.texts)).reshape(node.shape))

    def _local(self, value):
        name = f"s{len(self.lines) + 1}"
        self.lines.append(f"        {name} = {value}")
        return name

    def _leaf(self, node):
        if node.op == "constant":
            return [_number(value) for value in self.program.constants[node.attrs[0]].ravel()]
        name = self.program.inputs[node.attrs[0]].name
        return [f"{name}[{index(k, (), ())}]" for k in range(node.size)] if node.shape else [name]

    def _value(self, node, arguments):
        texts = [[self.texts[k] for k in argument.ravel()] for argument in arguments]
        if node.op in EXTREMES:
            first, *rest = texts[0]
            for text in rest:
                first = f"{EXTREMES[node.op]}({first}, {text})"
            return first
        if node.op == "interp":
            tables = ", ".join(f"({' '.join(f'{text},' for text in table)}), 0" for table in texts[1:])
            return spell("interp", [(None, texts[0][0])], f"{tables}, {len(texts[1])}")
        if node.op == "to_float":
            return f"T({texts[0][0]})"
        attr = f"({node.attrs[0]})" if node.op == "integer_power" else ""
        return spell(node.op, [(None, text) for (text,) in texts], attr)


def _number(value):
    """A constant in the type of the computation."""
    text = literal(value)
    return text if text in ("true", "false") else f"T({text})"
