"""Ensembles in float32: times counted from their start, which seven digits resolve; what they don't hold is refused."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..errors import ProblemError
from ..ir.origin import count_from_origin, uses_time
from ..requests import EnsembleRequest

counted = lru_cache(maxsize=64)(count_from_origin)


def in_single(request: EnsembleRequest) -> EnsembleRequest:
    """The request with times since the start of its span, all of its numbers such as float32 holds.

    A right-hand side that depends on the time gets its origin as one parameter more.

    Raises
    ------
    ProblemError
        For numbers beyond the range of float32.
    """
    solve, p = request.solve, request.p
    start, end = solve.t_span
    for what, values in (("an initial value", request.u0), ("a parameter", p), ("the span", np.array(end - start))):
        _check_range(what, values)
    program = solve.program
    if uses_time(program):
        program = counted(program)
        p = np.hstack([p, np.full((len(p), 1), start)])
    assert solve.saveat is not None
    times = {
        "t_span": (0.0, float(_round(end - start))),
        "saveat": _round(solve.saveat - start),
        "tstops": None if solve.tstops is None else np.unique(_round(solve.tstops - start)),
    }
    solve = replace(solve, program=program, max_steps=min(solve.max_steps, 2**31 - 1), **times)
    return replace(request, solve=solve, u0=_round(request.u0), p=_round(p))


def _round(values):
    """The nearest numbers of float32, as float64."""
    return np.asarray(values).astype(np.float32).astype(np.float64)


def _check_range(what, values):
    tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    sizes = np.abs(values)
    if (sizes > huge).any() or ((sizes < tiny) & (sizes > 0)).any():
        raise ProblemError(
            f"dtype='float32' holds sizes from {tiny:.1e} to {huge:.1e}, and {what} is beyond: rescale units, or use "
            "dtype='float64'"
        )
