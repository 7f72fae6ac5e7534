"""Algorithm: a solver's word with its options."""

from functools import cache

import numpy as np

from ..engines.base import Option
from ..engines.choose import engine_capabilities, engine_tables
from ..errors import ProblemError
from ..requests import Capability
from ..words import nearest


class Algorithm:
    """A solver's word with options, for ``algorithm=`` wherever a word is taken.

    Parameters
    ----------
    word : str
        SciML's word, such as ``"Rodas5P"``; :func:`algorithms` lists all.
    **options
        Options of that method by name; a wrong name raises with the right ones. Common ones: ``adaptive=False`` (every
        step is ``dt``), ``linear_solver`` (``"LU"``, ``"QR"``, ``"KLU"``, ``"UMFPACK"``, ``"GMRES"``, ``"BiCGStab"``),
        ``preconditioner`` (``"jacobi"``, ``"tridiagonal"``, ``"lu"``), ``nonlinear_solver``, ``max_order``.

    Attributes
    ----------
    word : str
        The word.
    options : dict
        The options that were given.

    Raises
    ------
    ProblemError
        For a word that no engine knows, an option that the method lacks, or a value that can't be.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Algorithm("KenCarp4", linear_solver="KLU")
    Algorithm('KenCarp4', linear_solver='KLU')
    """

    def __init__(self, word: str, **options):
        check_word(word)
        self._word = word
        self._options = tuple(sorted(options.items()))
        _check_options(word, options)

    @property
    def word(self) -> str:
        """The word."""
        return self._word

    @property
    def options(self) -> dict:
        """The options that were given."""
        return dict(self._options)

    @property
    def options_given(self) -> tuple:
        """The options as pairs, sorted by name."""
        return self._options

    def __eq__(self, other):
        return isinstance(other, Algorithm) and (self._word, self._options) == (other._word, other._options)

    def __hash__(self):
        return hash((self._word, self._options))

    def __repr__(self):
        return f"Algorithm({', '.join([repr(self._word), *(f'{n}={v!r}' for n, v in self._options)])})"


def read_algorithm(algorithm) -> Algorithm:
    """An Algorithm of what a user gives; ProblemError for a word that no engine knows, with the nearest known one."""
    if isinstance(algorithm, str):
        return _algorithm_of(algorithm)
    return algorithm if isinstance(algorithm, Algorithm) else Algorithm(algorithm)


_algorithm_of = cache(Algorithm)  # a word is looked up once, not at each solve


def check_word(word) -> None:
    """ProblemError for a word that no engine knows, with the nearest one that is known."""
    known = engine_capabilities().values()
    if isinstance(word, str) and any(Capability("algorithm", word) in capabilities for capabilities in known):
        return
    words = sorted({c.word for capabilities in known for c in capabilities if c.kind == "algorithm"})
    reasons = [
        table.LEFT_OUT[word] for table in engine_tables().values() if isinstance(word, str) and word in table.LEFT_OUT
    ]
    if reasons:
        raise ProblemError(f"algorithm: {word!r} is not offered: {reasons[0]}")
    hint = nearest(word, words)
    listed = f"ps.algorithms() lists the {len(words)} words"
    raise ProblemError(f"algorithm: unknown word {word!r}{hint or f'; one of {_COMMON}'}; {listed}")


_COMMON = "auto, Tsit5, Vern7, Vern9, Rosenbrock23, Rodas5P, FBDF, QNDF, KenCarp4, CVODE_BDF"


def _check_options(word, options):
    known: dict[str, Option] = {}
    for table in engine_tables().values():
        known |= table.options_of(word)
    for name, value in options.items():
        if name not in known:
            there = f"its options are {', '.join(known)}" if known else "it has none"
            raise ProblemError(f"Algorithm({word!r}): unknown option {name!r}; {there}{nearest(name, known)}")
        if not _is_allowed(value, known[name].values):
            allowed, hint = _say_values(known[name].values), ""
            if isinstance(value, str) and isinstance(known[name].values, tuple):
                hint = nearest(value, map(str, known[name].values))
            raise ProblemError(f"Algorithm({word!r}): {name} must be {allowed}, got {value!r}{hint}")
    if "preconditioner" in options and options.get("linear_solver") not in ("GMRES", "BiCGStab"):
        raise ProblemError(f"Algorithm({word!r}): preconditioner needs linear_solver='GMRES' or 'BiCGStab'")


def _is_allowed(value, values):
    if values is float:
        return not isinstance(value, bool) and isinstance(value, int | float | np.number) and 0 < value < np.inf
    if isinstance(values, range):
        return not isinstance(value, bool) and isinstance(value, int | np.integer) and value in values
    return any(type(value) is type(item) and value == item for item in values)


def _say_values(values):
    if values is float:
        return "a positive number"
    if isinstance(values, range):
        return f"an integer from {values[0]} to {values[-1]}"
    return f"one of {', '.join(map(repr, values))}"
