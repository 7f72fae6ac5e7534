"""Candidate terms of an equation: monomials and functions of a network's inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from ..errors import ProblemError
from ..ir.evaluate import evaluate_program
from ..ir.program import Input, ProgramBuilder
from ..words import nearest
from .terms import Call, Part, Sum, Term

FUNCTIONS = ("sin", "cos", "tan", "exp", "log", "sqrt", "tanh")


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

    Notes
    -----
    Of this the search of :class:`PySR` takes the functions, and applies them to whatever it finds.

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
                found.append(Term(tuple((k, chosen.count(k)) for k in range(n_inputs) if k in chosen)))
        alone = [Sum((Part(Term(((k, 1),)), 1.0, False),)) for k in range(n_inputs)]
        return (*found, *(Term(((Call(word, one), 1),)) for word in self.functions for one in alone))


def evaluate_terms(terms: Sequence[Term | Sum], inputs: np.ndarray) -> np.ndarray:
    """The terms, or sums of such, ``(sample, term)`` at the inputs ``(sample, input)``."""
    n = inputs.shape[0]
    builder = ProgramBuilder([Input(f"x{k}", (n,)) for k in range(inputs.shape[1])])
    nodes = [term.record(builder, range(inputs.shape[1])) for term in terms]
    program = builder.build([(f"y{k}", node) for k, node in enumerate(nodes)])
    return np.stack(evaluate_program(program, *inputs.T), axis=1)
