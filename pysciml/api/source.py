"""source(): the text that an engine runs."""

from ..engines.julia.printer import print_program
from ..errors import ProblemError
from ..problems.ode import ODEProblem
from ..words import nearest

_PRINTERS = {"julia": print_program}


def source(problem: ODEProblem, language: str = "julia") -> str:
    """Return the text that an engine compiles for a problem: for reading, and for reports of bugs.

    Parameters
    ----------
    problem : ODEProblem
        Its right-hand side is printed. States and parameters are positions in flat vectors, in the order of
        ``problem.u_layout`` and ``problem.p_layout``.
    language : {"julia"}, default "julia"
        What to print.

    Returns
    -------
    str
        The generated code.

    Raises
    ------
    ProblemError
        If there is no such language.

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.rate * u.x}, {"x": 1.0}, (0, 5), {"rate": 0.5})
    >>> "function" in ps.source(problem, "julia")
    True
    """
    if not isinstance(problem, ODEProblem):
        raise ProblemError(f"source: problem must be a ps.ODEProblem, got {type(problem).__name__}")
    if language not in _PRINTERS:
        words = ", ".join(_PRINTERS)
        raise ProblemError(f"source: unknown language {language!r}; one of {words}{nearest(language, _PRINTERS)}")
    return _PRINTERS[language](problem.program)
