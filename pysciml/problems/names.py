"""Names of states, parameters and dimensions: which are allowed, checked at the door."""

import keyword
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import combinations

from ..errors import ProblemError
from ..words import nearest

RESERVED = (
    "time", "state", "trajectory", "iteration", "parameter", "experiment", "status", "statistic", "statistics"
)  # fmt: skip
ONE_TRAJECTORY = (
    "a problem is one trajectory, and a batch belongs in over=, not in the problem: "
    "ps.ensemble(problem, over={...}, saveat=...)"
)


def check_name(kind: str, name) -> None:
    """ProblemError unless ``name`` may be a state or parameter (``kind``)."""
    if not isinstance(name, str):
        raise ProblemError(f"{kind} name {name!r} must be a string, got {type(name).__name__}")
    if not name.isidentifier() or name.startswith("_"):
        raise ProblemError(
            f"{kind} name {name!r} must be a Python identifier that starts with a letter, such as {_mend(name)!r}"
        )
    if keyword.iskeyword(name):
        raise ProblemError(
            f"{kind} name {name!r} is a Python keyword, so {name!r} can't stand after a dot; call it {name + '_'!r}"
        )
    if unicodedata.normalize("NFKC", name) != name:
        plain = unicodedata.normalize("NFKC", name)
        raise ProblemError(f"{kind} name {name!r}: Python reads it as {plain!r} after a dot; write {plain!r}")
    if name in RESERVED:
        raise ProblemError(f"{kind} name {name!r} is reserved ({', '.join(RESERVED)}); call it {name + '_'!r}")
    if name.startswith("u0_"):
        raise ProblemError(
            f"{kind} name {name!r}: names that start with u0_ are reserved for initial values; choose another"
        )


def _mend(name):
    """An identifier like ``name``."""
    kept = "".join(c if ("_" + c).isidentifier() else "_" for c in name).strip("_")
    return kept if kept.isidentifier() and not kept[0].isdigit() else f"x_{kept}".rstrip("_")


def check_disjoint(states: Iterable[str], parameters: Iterable[str], observables: Iterable[str] = ()) -> None:
    """ProblemError if a state, a parameter and an observable share a name."""
    kinds = {"state (u0)": set(states), "parameter (p)": set(parameters), "observable (observe)": set(observables)}
    for (one, first), (other, second) in combinations(kinds.items(), 2):
        if shared := sorted(first & second):
            article = "an" if other.startswith("o") else "a"
            raise ProblemError(
                f"{shared[0]!r} is both a {one} and {article} {other}; they share one namespace: rename one of them"
            )


def check_known(where: str, names: Iterable[str], known: Sequence[str]) -> None:
    """ProblemError for the first of ``names`` that isn't ``known``, with the nearest one that is."""
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ProblemError(f"{where}: unknown name {name!r}; the names are {listed}{nearest(name, known)}")


def check_dims(where: str, dims: tuple, names: Iterable[str]) -> None:
    """ProblemError unless ``dims`` can be the dimensions of one state or parameter beside ``names``."""
    for dim in dims:
        if not isinstance(dim, str) or not dim or dim != dim.strip() or "/" in dim or not dim.isprintable():
            raise ProblemError(f"{where}: dimension {dim!r} must be a plain word, such as 'x'; files can't hold others")
        if dim == "time":
            raise ProblemError(
                f"{where} has a dimension 'time'; an initial value is one moment: take one with .isel(time=0)"
            )
        if dim in RESERVED and dim not in ("state", "parameter"):
            raise ProblemError(f"{where} has a dimension {dim!r}: {ONE_TRAJECTORY}")
        if dim in names:
            raise ProblemError(f"{where}: dimension {dim!r} has the name of a state or parameter; rename one of them")
    if len(set(dims)) != len(dims):
        raise ProblemError(f"{where}: dimensions {dims} must differ from each other")
