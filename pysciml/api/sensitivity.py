"""Sensitivity: a way to gradients with what gives its products with cotangents."""

from dataclasses import dataclass

from ..engines.choose import engine_tables
from ..errors import ProblemError, UnsupportedByEngine
from ..words import nearest

WORDS = ("auto discrete interpolating gauss quadrature backsolve forward forward_over_solver checkpointed").split()


@dataclass(frozen=True)
class Sensitivity:
    """A word for a way to gradients with its option, for ``sensitivity=`` wherever a word is taken.

    Parameters
    ----------
    word : str
        ``"discrete"``, ``"interpolating"``, ``"gauss"``, ``"quadrature"``, ``"backsolve"``, ``"forward"``,
        ``"forward_over_solver"``, ``"checkpointed"`` or ``"auto"``.
    vjp : {"generated", "ReverseDiff"}, default "generated"
        What gives the products of cotangents with the model's derivatives by state and parameters, which the adjoint
        equations (``"interpolating"``, ``"gauss"``, ``"quadrature"``, ``"backsolve"``, all on Julia) are made of.
        ``"generated"``: a function that is derived from the traced model. ``"ReverseDiff"``: a tape that ReverseDiff
        records of the model as Julia runs it, to hold the former against something that shares nothing with it.

    Raises
    ------
    ProblemError
        For a word that no engine knows.
    UnsupportedByEngine
        For ``"Zygote"`` and ``"Enzyme"``, which no engine offers; the message says why.

    Notes
    -----
    The first gradient of a process by an adjoint equation waits 10 to 20 seconds for Julia to load and compile
    SciMLSensitivity's part, and the first of each model by ReverseDiff for a second or two more. A product by tape
    takes some ten times as long as a generated one, and fifty times where the model has branches (``np.where``,
    ``np.maximum``, ``ps.interpolate``...): its tape is then recorded at each call, since it holds those that were
    taken. At kinks, and where a branch that is not taken is infinite, ReverseDiff has conventions of its own. Loss,
    observables and start values keep their generated derivatives.

    References
    ----------
    Revels (2016), ReverseDiff.jl, https://github.com/JuliaDiff/ReverseDiff.jl

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Sensitivity("gauss", vjp="ReverseDiff")
    Sensitivity(word='gauss', vjp='ReverseDiff')
    """

    word: str
    vjp: str = "generated"

    def __post_init__(self):
        if self.word not in WORDS:
            raise ProblemError(
                f"sensitivity: unknown word {self.word!r}; one of {', '.join(WORDS)}{nearest(self.word, WORDS)}"
            )
        table = engine_tables()["julia"]
        if self.vjp in table.VJPS_LEFT_OUT:
            raise UnsupportedByEngine(
                f"vjp {self.vjp!r} is not offered: {table.VJPS_LEFT_OUT[self.vjp]}; use 'generated' or 'ReverseDiff'"
            )
        if self.vjp not in table.VJPS:
            raise ProblemError(
                f"vjp: unknown word {self.vjp!r}; one of {', '.join(table.VJPS)}{nearest(self.vjp, table.VJPS)}"
            )


def read_sensitivity(sensitivity) -> Sensitivity:
    """A Sensitivity of what a user gives; ProblemError for a word that no engine knows."""
    return sensitivity if isinstance(sensitivity, Sensitivity) else Sensitivity(sensitivity)
