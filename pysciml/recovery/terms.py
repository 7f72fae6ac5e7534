"""Equations as sums of terms: products of powers of inputs, of functions of such sums, and of such sums themselves.

Some numbers in them are constants, to be fitted. Whoever reads or records an equation hands in what stands for these,
one after the other: numbers, names or nodes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import NamedTuple

import numpy as np

from ..ir.program import ProgramBuilder


@dataclass(frozen=True)
class Term:
    """A product: inputs, by their positions, and what :class:`Call` stands for, each with a power that isn't zero."""

    factors: tuple[tuple["int | Call", int], ...] = ()

    @property
    def constants(self) -> tuple[float, ...]:
        return tuple(value for atom, _ in self.factors if isinstance(atom, Call) for value in atom.sum.constants)

    @property
    def form(self) -> str:
        """The same text for terms that differ in the values of constants only."""
        return self.text(_Numbered(), repeat("c"))

    def text(self, names: Sequence[str], constants: Iterator | None = None) -> str:
        """As Python would compute it."""
        parts: dict[bool, list[str]] = {True: [], False: []}
        for atom, power in self.factors:
            text = names[atom] if isinstance(atom, int) else f"{atom.function}({atom.sum.text(names, constants)})"
            parts[power > 0].append(text if abs(power) == 1 else f"{text}**{abs(power)}")
        above, below = "*".join(parts[True]) or "1", "*".join(parts[False])
        if not below:
            return above
        return f"{above}/{below}" if len(parts[False]) == 1 else f"{above}/({below})"

    def word(self, names: Sequence[str]) -> str:
        """As part of an identifier, ``hare2_lynx``, ``sin_hare``; nothing for what isn't as simple as these."""
        if len(self.factors) == 1 and isinstance(atom := self.factors[0][0], Call):
            (part, *more), is_plain = atom.sum.parts, self.factors[0][1] == 1 and atom.function != ""
            inner = part.term.word(names) if is_plain and not more and part[1:] == (1.0, False) else ""
            return f"{atom.function}_{inner}" if inner else ""
        if any(isinstance(atom, Call) or power < 0 for atom, power in self.factors):
            return ""
        return "_".join(names[k] if n == 1 else f"{names[k]}{n}" for k, n in self.factors) or "1"

    def record(self, builder: ProgramBuilder, inputs: Sequence[int], constants: Iterator | None = None) -> int:
        """The node of the term, on the nodes of the inputs and of the constants."""
        products: dict[bool, int] = {}
        for atom, power in self.factors:
            node = inputs[atom] if isinstance(atom, int) else atom.record(builder, inputs, constants)
            node = node if abs(power) == 1 else builder.add("integer_power", (node,), (abs(power),))
            key = power > 0
            products[key] = builder.add("mul", (products[key], node)) if key in products else node
        if True not in products:
            one, shape = builder.constant(1.0), builder.nodes[inputs[0]].shape
            products[True] = builder.add("broadcast", (one,), (shape,)) if shape else one
        return builder.add("div", (products[True], products[False])) if False in products else products[True]

    @property
    def sizes(self) -> list[int]:
        """Symbols of each factor, one so often as its power says."""
        sizes = [1 if isinstance(atom, int) else atom.sum.size + (atom.function != "") for atom, _ in self.factors]
        return [size for size, (_, power) in zip(sizes, self.factors, strict=True) for _ in range(abs(power))]


class Part(NamedTuple):
    """A term of a sum with its factor, which is a constant, or belongs to the form as the 1 of ``1 + x``."""

    term: Term
    factor: float
    is_constant: bool = True


@dataclass(frozen=True)
class Sum:
    """Terms with their factors."""

    parts: tuple[Part, ...] = ()

    @property
    def constants(self) -> tuple[float, ...]:
        """Factors that are constants, each before those of its term."""
        return tuple(value for part in self.parts for value in (part.factor,) * part.is_constant + part.term.constants)

    @property
    def form(self) -> str:
        """The same text for sums that differ in the values of constants only."""
        return self.text(_Numbered(), repeat("c"))

    def text(self, names: Sequence[str], constants: Iterator | None = None) -> str:
        """As Python would compute it."""
        found = []
        for part in self.parts:
            factor = _show(next(constants) if part.is_constant and constants is not None else part.factor)
            term = part.term.text(names, constants)
            signs = {"1": "", "-1": "-"}
            if term == "1":
                found.append(factor)
            elif not part.is_constant and factor in signs:
                found.append(signs[factor] + term)
            else:
                found.append(factor + (term[1:] if term.startswith("1/") else f"*{term}"))
        return " + ".join(found).replace("+ -", "- ") or "0"

    @property
    def size(self) -> int:
        """Symbols of the tree that it is: inputs, numbers, functions, and operators, which join two of the others."""
        found = []
        for term, factor, is_constant in self.parts:
            has_number = is_constant or abs(factor) != 1 or all(power < 0 for _, power in term.factors)
            sizes = [*term.sizes, *[1] * has_number]
            found.append(sum(sizes) + len(sizes) - 1)
        return sum(found) + max(len(found) - 1, 0)

    def name_constants(self, prefix: str, names: Sequence[str]) -> dict[str, str]:
        """A name for each constant, by the term that it is the factor of where that is simple; and what it is."""
        numbers, found = count(1), {}
        for term, _, is_constant in self.parts:
            words = [term.word(names)] * is_constant + [""] * len(term.constants)
            own = [f"{prefix}_{word or f'c{next(numbers)}'}" for word in words]
            text = term.text(names, iter(own[is_constant:]))
            found |= dict.fromkeys(own, f"constant of {text}")
            found |= dict.fromkeys(own[:is_constant], f"factor of {text}")
        return found

    def record(self, builder: ProgramBuilder, inputs: Sequence[int], constants: Iterator | None = None) -> int:
        """The node of the sum, on the nodes of the inputs and of the constants."""
        total = None
        for part in self.parts:
            is_given = part.is_constant and constants is not None
            factor = next(constants) if is_given else builder.constant(part.factor)
            node = part.term.record(builder, inputs, constants)
            if part.is_constant or part.factor != 1:
                node = builder.add("mul", (factor, node))
            total = node if total is None else builder.add("add", (total, node))
        return builder.constant(np.zeros(builder.nodes[inputs[0]].shape)) if total is None else total


@dataclass(frozen=True)
class Call:
    """A function of a sum; without one, ``""``, the sum itself as a factor of a product."""

    function: str
    sum: Sum

    def record(self, builder: ProgramBuilder, inputs: Sequence[int], constants: Iterator | None) -> int:
        """The node of its value."""
        node = self.sum.record(builder, inputs, constants)
        return builder.add(self.function, (node,)) if self.function else node


class _Numbered(Sequence):
    """Names of inputs that are not known."""

    def __getitem__(self, position):
        return f"x{position}"

    def __len__(self):
        return 0


def _show(value):
    return value if isinstance(value, str) else f"{value:.4g}"
