"""What a method can't do for a request, refused by name; and what it needs beside what was asked."""

from dataclasses import replace
from typing import NoReturn

import numpy as np

from ...errors import ProblemError, UnsupportedByEngine
from ...ir.origin import uses_time
from ...requests import ObjectiveRequest, SolveRequest
from .catalogue import METHODS, Method

_FORWARD, _DISCRETE, GENERATED = "forward", "discrete", "generated"
_ADJOINTS = ("interpolating", "gauss", "quadrature", "backsolve")
EXPLICIT = frozenset(  # Runge-Kutta methods whose coefficients depend on nothing; as in julia/src/explicit.jl
    "Tsit5 Vern6 Vern7 Vern8 Vern9 BS3 BS5 DP5 RK4 OwrenZen3 OwrenZen4 OwrenZen5 Euler Heun Ralston Midpoint "
    "DP8 TsitPap8 TanYam7".split()
)
ROSENBROCK = frozenset(  # rosenbrock.jl
    "Rosenbrock23 Rodas4 Rodas42 Rodas4P Rodas4P2 Rodas5 Rodas5P Rodas5Pe Rodas6P".split()
)
REVERSED = EXPLICIT | ROSENBROCK  # SDIRK methods would take three times as long (benchmarks/sdirk.py)
RESTARTED = {  # packages and words that were found right after jumps
    *(f"OrdinaryDiffEq{name}" for name in ("Tsit5", "Verner", "LowOrderRK", "HighOrderRK", "Rosenbrock")),
    *("ImplicitEuler", "TRBDF2", "Kvaerno3", "Kvaerno4", "Kvaerno5", "FBDF", "QNDF", "QBDF"),
    *("KenCarp3", "KenCarp4", "KenCarp47", "KenCarp5", "KenCarp58"),
}
FULL = ("OrdinaryDiffEqFIRK", "OrdinaryDiffEqExtrapolation")  # packages whose methods write to each element of a matrix
LARGEST_FULL = 2000  # states: two matrices of complex numbers take 128 MB, and each factorisation seconds


def is_adaptive(request: SolveRequest) -> bool:
    """Whether errors choose the steps."""
    method = METHODS.get(request.algorithm)
    return bool(dict(request.algorithm_options).get("adaptive", method is None or method.is_adaptive))


def stop_times(request: SolveRequest) -> np.ndarray:
    """Times that a step must end on: those asked for, and the save times of a method that is less accurate between.

    The right-hand side may jump at those asked for, so steps end just before them too: the last stage of a step that
    ends on a jump sees the value behind it (Tsit5 at 1e-6 then rejects 96 steps in place of none, and is wrong by 7
    tolerances in place of 0.003). Sundials takes no step so small.
    """
    method = METHODS.get(request.algorithm)
    stops = np.zeros(0) if request.tstops is None else request.tstops
    if len(stops) and (method is None or (method.package != "Sundials" and is_adaptive(request))):
        stops = np.union1d(np.nextafter(stops, -np.inf), stops)
    if method is None or method.is_continuous or request.saveat is None:
        return stops
    return np.union1d(stops, request.saveat)


def check_algorithm(request: SolveRequest) -> None:
    """ProblemError or UnsupportedByEngine for what the method can't do with this request."""
    method = METHODS.get(request.algorithm)
    if request.mass_matrix is not None and request.events:
        raise UnsupportedByEngine("engine 'julia' does not support events in problems with a mass matrix")
    if method is None:
        return
    word = method.word
    if request.mass_matrix is not None and not method.takes_mass_matrix:
        words = ", ".join(name for name in ("Rodas5P", "Rodas4P", "FBDF", "QNDF", "RadauIIA5"))
        raise UnsupportedByEngine(f"algorithm {word!r} takes no mass matrix; these do: {words}, ... (ps.algorithms())")
    if request.mass_matrix is not None and request.mass_matrix.ndim == 2 and word == "Rosenbrock23":
        raise UnsupportedByEngine(
            "algorithm 'Rosenbrock23' takes diagonal mass matrices only; use 'Rodas5P' or 'Rodas4P'"
        )
    if method.package in FULL and method.has_jacobian and request.u0.size > LARGEST_FULL:
        raise UnsupportedByEngine(
            f"algorithm {word!r} factors full matrices only, and {request.u0.size} states are too many for them "
            f"(at most {LARGEST_FULL}); 'Rodas5P', 'FBDF' and 'KenCarp4' take sparse ones"
        )
    if not is_adaptive(request) and request.dt is None:
        raise ProblemError(f"algorithm {word!r} has no step control: give its step, dt=...")
    if "c" in method.flags and len(stop_times(request)):
        raise UnsupportedByEngine(
            f"algorithm {word!r} takes steps of one length only, so it can't stop at given times (tstops"
            f"{'' if method.is_continuous else ', or saveat'}); use 'Tsit5' or 'VCABM'"
        )
    if request.events:
        _check_events(request, method)
    if "a" in method.flags and uses_time(request.program):
        raise UnsupportedByEngine(
            f"algorithm {word!r} loses its order where the model depends on t explicitly, as this one does: "
            "make time a state (d clock/dt = 1), or use 'Rodas5P'"
        )


def check_dense(request: SolveRequest) -> None:
    """UnsupportedByEngine for a method that is less accurate between its steps than on them."""
    method = METHODS.get(request.algorithm)
    if method is not None and not method.is_continuous:
        raise UnsupportedByEngine(
            f"algorithm {method.word!r} has no dense output of its order; 'Tsit5', 'Vern7', 'Vern9', 'Rodas5P' and "
            "'FBDF' have, and saveat= works with each"
        )


def for_mass_matrix(request: SolveRequest) -> SolveRequest:
    """With a mass matrix ``"auto"`` is Rodas5P."""
    is_auto = request.mass_matrix is not None and request.algorithm == "auto"
    return replace(request, algorithm="Rodas5P") if is_auto else request


def _check_events(request: SolveRequest, method: Method) -> None:
    """UnsupportedByEngine for events with a method that isn't right after jumps, or between its steps."""
    if method.package not in RESTARTED and method.word not in RESTARTED:
        raise UnsupportedByEngine(
            f"engine 'julia' does not support events with the algorithm {method.word!r}, which was not found "
            "right after jumps; use 'Tsit5', 'Vern7', 'Rodas5P' or 'FBDF'"
        )
    if not method.is_continuous and any(event.condition is not None for event in request.events):
        raise UnsupportedByEngine(
            f"algorithm {method.word!r} is less accurate between its steps, where events with a condition are located; "
            "use 'Tsit5', 'Vern7', 'Rodas5P' or 'FBDF'"
        )


def sensitivities_of(word: str) -> tuple[str, ...]:
    """The words of sensitivities that are right with a method.

    Steps are reversed where the method's coefficients are known here. The adjoint equation needs the solution between
    the steps. Tangents go with every method, dual numbers with those in Julia.
    """
    method = METHODS[word]
    is_julia = method.package != "Sundials"
    valid = [_DISCRETE] if word in REVERSED else []
    valid += _ADJOINTS if method.is_continuous and is_julia else []
    return (*valid, _FORWARD, *(["forward_over_solver"] if is_julia else []))


def vjps_of(sensitivity: str) -> tuple[str, ...]:
    """The words of what may give a sensitivity its products with cotangents; tangents have none."""
    if sensitivity in _ADJOINTS:
        return (GENERATED, "ReverseDiff")
    return (GENERATED,) if sensitivity in (_DISCRETE, "auto") else ()


def choose_sensitivity(request: ObjectiveRequest) -> str:
    """The sensitivity of an objective, checked before anything runs; "auto" where Julia chooses among several."""
    method, asked = METHODS.get(request.solve.algorithm), request.sensitivity
    if request.vjp != GENERATED and request.vjp not in vjps_of(asked):
        raise UnsupportedByEngine(
            f"engine 'julia' does not support the vjp {request.vjp!r} with the sensitivity {asked!r}, only with an "
            f"adjoint equation, named: {', '.join(_ADJOINTS)}"
        )
    if request.solve.events or request.solve.mass_matrix is not None:
        return _check_reversed(asked, request.solve.algorithm, "events" if request.solve.events else "mass matrices")
    if method is None:
        return asked
    valid = sensitivities_of(method.word)
    if asked == "auto":
        return asked if _DISCRETE in valid or "gauss" in valid else _FORWARD
    if asked == _DISCRETE and asked not in valid:
        refuse_reversal(method.word)
    if asked not in valid:
        raise UnsupportedByEngine(
            f"engine 'julia' does not support the sensitivity {asked!r} with the algorithm {method.word!r}, which is "
            f"less accurate between its steps or not of Julia; these are right with it: {', '.join(valid)}"
        )
    return asked


def _check_reversed(asked: str, word: str, part: str) -> str:
    """UnsupportedByEngine unless steps are reversed: the other ways take no notice of events and mass matrices."""
    if asked not in ("auto", _DISCRETE):
        raise UnsupportedByEngine(
            f"engine 'julia' does not support the sensitivity {asked!r} with {part}; 'discrete' takes gradients "
            "through them"
        )
    valid = REVERSED if part == "events" else ROSENBROCK
    if word not in valid and word in METHODS:
        raise UnsupportedByEngine(
            f"engine 'julia' does not support gradients through {part} with the algorithm {word!r}, whose steps "
            f"are not reversed; those of {', '.join(sorted(valid))} are"
        )
    return asked


def explain_sensitivity(request: ObjectiveRequest, algorithm: str, word: str) -> str:
    """Why ``"auto"`` became a word."""
    if request.sensitivity != "auto":
        return "" if request.vjp == GENERATED else f"products with cotangents by {request.vjp}, asked for"
    size = f"x has {request.x0.size} element{'s' * (request.x0.size != 1)}"
    if word == _DISCRETE:
        return f"sensitivity discrete, since steps of {algorithm} can be reversed, at a cost that hardly grows with x"
    if word == _FORWARD and "gauss" not in sensitivities_of(algorithm):
        return f"sensitivity forward, since {algorithm} is less accurate between its steps"
    why = f"steps of {algorithm} are not reversed" if algorithm not in REVERSED else "there are many states"
    few = "few enough for tangents" if word == _FORWARD else "too many for tangents"
    return f"sensitivity {word}, since {why} and {size}, {few}"


def refuse_reversal(word: str, is_only_way: bool = False) -> NoReturn:
    """UnsupportedByEngine for a method whose steps aren't reversed, or not for so many states."""
    if word in ROSENBROCK:
        way = "with events or a mass matrix there is no other" if is_only_way else "sensitivity='auto' finds a way"
        raise UnsupportedByEngine(
            f"engine 'julia' does not support the sensitivity 'discrete' with {word!r} for so many states without a "
            f"sparse Jacobian, or with the Jacobian of earlier steps (jacobian_age); {way}"
        )
    raise UnsupportedByEngine(
        f"engine 'julia' does not support the sensitivity 'discrete' with the algorithm {word!r}; it reverses the "
        f"steps of {', '.join(sorted(REVERSED))}; sensitivity='auto' finds another way"
    )
