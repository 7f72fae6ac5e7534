"""Options of the methods: names, values, meaning. ``julia/src/options.jl`` turns them into SciML's keywords."""

from ..base import Option
from .catalogue import METHODS, Method

_LINEAR = Option("linear_solver", ("LU", "QR", "KLU", "UMFPACK", "GMRES", "BiCGStab"), "of Newton's equations")
_DIRECT = Option("linear_solver", ("LU", "QR", "KLU", "UMFPACK"), "of Newton's equations")
_PRECONDITIONER = Option(
    "preconditioner", ("jacobi", "tridiagonal", "lu"), "of GMRES and BiCGStab: what is factored of Newton's matrix"
)
_NONLINEAR = Option("nonlinear_solver", ("Newton", "functional", "Anderson"), "of the stages' equations")
_KRYLOV_SIZE = Option("krylov_size", range(1, 1001), "most vectors of a Krylov subspace")
_STIFF_PARTNERS = ("Rosenbrock23", "Rodas4", "Rodas4P", "Rodas5P", "TRBDF2", "KenCarp4", "KenCarp47")
_ADAPTIVE = Option("adaptive", (True, False), "False: the steps are dt, whatever the error")

_BY_PACKAGE = {
    "OrdinaryDiffEqRosenbrock": (_LINEAR, _PRECONDITIONER),
    "OrdinaryDiffEqSDIRK": (_LINEAR, _PRECONDITIONER, _NONLINEAR),
    "OrdinaryDiffEqBDF": (_LINEAR, _PRECONDITIONER, _NONLINEAR),
    "OrdinaryDiffEqFIRK": (_DIRECT,),
    "OrdinaryDiffEqPDIRK": (_DIRECT,),
    "OrdinaryDiffEqExponentialRK": (_KRYLOV_SIZE,),
    "OrdinaryDiffEqExtrapolation": tuple(
        Option(name, range(1, 16), f"{name.split('_')[0]} order")
        for name in ("min_order", "initial_order", "max_order")
    ),
    "Sundials": (
        Option("linear_solver", ("LU", "KLU", "GMRES", "FGMRES", "BiCGStab", "TFQMR"), "of Newton's equations"),
        Option("nonlinear_solver", ("Newton", "functional"), "of the steps' equations"),
        _KRYLOV_SIZE,
    ),
}
_FREQUENCY = Option("frequency", float, "angular frequency of the solution, per unit of time")
_HIGHEST = "highest order"
_STAGES = (
    Option("min_stages", range(1, 201), "fewest stages of a step"),
    Option("max_stages", range(1, 201), "most stages of a step"),
)
_BY_WORD = {
    **dict.fromkeys(("QNDF", "QBDF", "FBDF", "CVODE_BDF"), (Option("max_order", range(1, 6), _HIGHEST),)),
    "CVODE_Adams": (Option("max_order", range(1, 13), _HIGHEST),),
    "ARKODE": (
        Option("order", range(2, 9), "order, 2 to 8 if explicit, 3 to 5 if not"),
        Option("explicit", (True, False), "explicit steps"),
    ),
    **dict.fromkeys(("ROCK2", "ROCK4"), _STAGES),
    **dict.fromkeys(("Anas5", "PFRK87"), (_FREQUENCY,)),
    "Cash4": (Option("embedding", (3, 4), "stages of the method that estimates errors"),),
}


def options_of(word: str) -> dict[str, Option]:
    """The options of a method, by name."""
    method = METHODS.get(word)
    return {} if method is None else {option.name: option for option in _list_options(method)}


def _list_options(method: Method):
    if method.is_adaptive and method.has_fixed_steps:
        yield _ADAPTIVE
    if method.word.startswith("Auto"):
        yield Option("stiff", _STIFF_PARTNERS, "the method that takes over where the problem is stiff")
    yield from _BY_PACKAGE.get(method.package, ())
    if method.package == "OrdinaryDiffEqExtrapolation" and method.has_jacobian:
        yield _DIRECT
    yield from _BY_WORD.get(method.word, ())


OPTION_NAMES = frozenset(name for word in METHODS for name in options_of(word))


def write_spec(word: str, options: tuple[tuple[str, object], ...]) -> str:
    """A word and its options as Julia reads them; ``adaptive`` belongs to the solve."""
    parts = (f"{name}={_write_value(value)}" for name, value in options if name != "adaptive")
    return ";".join([word, *parts])


def _write_value(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
