"""Candidate terms of an equation: monomials and functions of a network's inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from ..errors import ProblemError
from ..ir.evaluate import evaluate_program
from ..ir.program import Input, ProgramBuilder
from ..words import nearest

FUNCTIONS = ("sin", "cos", "tan", "exp", "log", "sqrt", "tanh")


@dataclass(frozen=True)
class Term:
    """A monomial of the inputs with these exponents, or a function of it."""

    powers: tuple[int, ...]
    function: str | None = None

    def text(self, names: Sequence[str]) -> str:
        """As Python would compute it."""
        factors = [name if n == 1 else f"{name}**{n}" for name, n in zip(names, self.powers, strict=True) if n]
        monomial = "*".join(factors) or "1"
        return f"{self.function}({monomial})" if self.function else monomial

    def word(self, names: Sequence[str]) -> str:
        """As part of an identifier: ``hare2_lynx``, ``sin_hare``."""
        factors = [name if n == 1 else f"{name}{n}" for name, n in zip(names, self.powers, strict=True) if n]
        return "_".join(([self.function] if self.function else []) + factors) or "1"

    def record(self, builder: ProgramBuilder, inputs: Sequence[int]) -> int:
        """The node of the term, on the nodes of the inputs."""
        node = None
        for position, n in zip(inputs, self.powers, strict=True):
            if n:
                factor = position if n == 1 else builder.add("integer_power", (position,), (n,))
                node = factor if node is None else builder.add("mul", (node, factor))
        if node is None:
            one = builder.constant(1.0)
            shape = builder.nodes[inputs[0]].shape
            return builder.add("broadcast", (one,), (shape,)) if shape else one
        return builder.add(self.function, (node,)) if self.function else node


@dataclass(frozen=True)
class Library:
    """Candidate terms for :func:`recover`: all monomials of the network's inputs, and functions of each input.

    Parameters
    ----------
    degree : int, default 3
        Highest degree of the monomials (dimensionless), products of several inputs included; 0 is the constant alone.
    functions : sequence of str, default ("sin", "cos")
        Of ``"sin"``, ``"cos"``, ``"tan"``, ``"exp"``, ``"log"``, ``"sqrt"``, ``"tanh"``: applied to each input alone.

    Raises
    ------
    ProblemError
        For a degree that isn't a non-negative integer and for unknown functions.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Library(degree=2, functions=())
    Library(degree=2, functions=())
    """

    degree: int = 3
    functions: tuple[str, ...] = ("sin", "cos")

    def __post_init__(self):
        if isinstance(self.degree, bool) or not isinstance(self.degree, int | np.integer) or self.degree < 0:
            raise ProblemError(f"Library: degree must be a non-negative integer, got {self.degree!r}")
        given = (self.functions,) if isinstance(self.functions, str) else tuple(self.functions)
        for word in given:
            if word not in FUNCTIONS:
                known = ", ".join(FUNCTIONS)
                raise ProblemError(f"Library: unknown function {word!r}; it has {known}{nearest(str(word), FUNCTIONS)}")
        object.__setattr__(self, "functions", given)

    def terms(self, n_inputs: int) -> tuple[Term, ...]:
        """All candidates, by degree, functions last."""
        found = []
        for degree in range(self.degree + 1):
            for chosen in combinations_with_replacement(range(n_inputs), degree):
                found.append(Term(tuple(chosen.count(k) for k in range(n_inputs))))
        alone = [tuple(int(i == k) for i in range(n_inputs)) for k in range(n_inputs)]
        return (*found, *(Term(powers, word) for word in self.functions for powers in alone))


def evaluate_terms(terms: Sequence[Term], inputs: np.ndarray) -> np.ndarray:
    """The terms ``(sample, term)`` at the inputs ``(sample, input)``."""
    n = inputs.shape[0]
    builder = ProgramBuilder([Input(f"x{k}", (n,)) for k in range(inputs.shape[1])])
    nodes = [term.record(builder, range(inputs.shape[1])) for term in terms]
    program = builder.build([(f"y{k}", node) for k, node in enumerate(nodes)])
    return np.stack(evaluate_program(program, *inputs.T), axis=1)
