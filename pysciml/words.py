"""The nearest right word, for messages about a wrong one, and the check of keywords."""

import difflib
from collections.abc import Iterable

from .errors import ProblemError


def nearest(word, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing where no known word is near. Case does not count."""
    by_lower = {str(k).lower(): str(k) for k in known}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""


_ELSEWHERE = {  # what other libraries call it
    "reltol": "rtol", "abstol": "atol", "t_eval": "saveat", "save_at": "saveat", "ts": "saveat", "method": "algorithm",
    "alg": "algorithm", "solver": "algorithm", "maxiters": "max_steps", "max_step": "dtmax", "max_dt": "dtmax",
    "first_step": "dt", "dt0": "dt", "backend": "engine", "lr": "optimizer", "maxiter": "optimizer", "wrt": "trainable",
    "sensealg": "sensitivity", "adjoint": "sensitivity",
}  # fmt: skip


_ONLY_THERE = {  # functions that take it; all else is float64 on the CPU
    "device": "ps.ensemble, ps.solve, ps.objective, ps.gradient, ps.fit and ps.fit_ensemble take",
    "dtype": "ps.ensemble takes",
}


def check_keywords(function: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """ProblemError for the first unknown keyword of a call, with the nearest right one."""
    known = list(known)
    for word in unknown:
        right = _ELSEWHERE.get(word.lower())
        hint = f"; did you mean {right!r}?" if right in known else nearest(word, known)
        if place := _ONLY_THERE.get(word):
            hint = f"; only {place} {word}: all else is solved in float64 on the CPU"
        raise ProblemError(f"{function}: unknown keyword {word!r}; the keywords are {', '.join(known)}{hint}")
