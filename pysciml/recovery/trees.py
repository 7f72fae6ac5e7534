"""Trees of operators, as symbolic regression finds them, read as sums of terms.

A tree says the same in many ways: ``u * (v / -1.1)`` and ``-0.9 * (v * u)``. As a sum of terms it has one form, and in
this no constants more than it needs: of ``c1 * x * c2`` one.
"""

from collections.abc import Sequence

import numpy as np

from .terms import Call, Part, Sum, Term

ONE = Term()


def read_tree(codes: Sequence[int], constants: Sequence[float], operators: Sequence[str]) -> Sum | None:
    """The sum of terms that a tree is, all their factors being constants; None where a number isn't finite.

    ``codes`` are its nodes, each behind those that it takes: a positive one is an input, counted from 1, zero is the
    next of ``constants``, a negative one is an operator, -1 the first of ``operators``: of two values if it is one of
    ``+ - * /``, else a function.
    """
    stack: list[Sum] = []
    rest = iter(constants)
    with np.errstate(all="ignore"):
        for code in map(int, codes):
            if code > 0:
                stack.append(Sum((Part(Term(((code - 1, 1),)), 1.0, False),)))
            elif code == 0:
                stack.append(_make_sum([Part(ONE, np.float64(next(rest)))]))
            elif (word := operators[-code - 1]) in _BINARY:
                right = stack.pop()
                stack.append(_BINARY[word](stack.pop(), right))
            else:
                stack.append(_apply(word, stack.pop()))
        (found,) = stack
    parts = tuple(Part(part.term, float(part.factor)) for part in found.parts)
    return Sum(parts) if np.isfinite(Sum(parts).constants).all() else None


def _make_sum(parts) -> Sum:
    """Like terms taken together, in an order that values don't change."""
    found: dict[Term, Part] = {}
    for part in parts:
        other = found.get(part.term, Part(part.term, 0.0, False))
        found[part.term] = Part(part.term, other.factor + part.factor, other.is_constant or part.is_constant)
    kept = (part for part in found.values() if part.is_constant or part.factor != 0)
    return Sum(tuple(sorted(kept, key=_place)))


def _place(part):
    """Products of inputs first, a constant alone last."""
    return part.term == ONE, any(isinstance(atom, Call) for atom, _ in part.term.factors), part.term.form


def _add(a: Sum, b: Sum) -> Sum:
    return _make_sum(a.parts + b.parts)


def _subtract(a: Sum, b: Sum) -> Sum:
    return _add(a, Sum(tuple(part._replace(factor=-part.factor) for part in b.parts)))


def _multiply(a: Sum, b: Sum) -> Sum:
    """Multiplied out only where no constant comes to stand in several places."""
    for one, other in ((a, b), (b, a)):
        if len(one.parts) == 1 and (len(other.parts) == 1 or not one.parts[0].term.constants):
            return _make_sum(_times(one.parts[0], part) for part in other.parts)
    return _make_sum([_times(_as_factor(a), _as_factor(b))]) if a.parts and b.parts else Sum()


def _divide(a: Sum, b: Sum) -> Sum:
    term, factor, is_constant = _as_factor(b)
    inverse = Term(tuple((atom, -power) for atom, power in term.factors))
    return _multiply(a, Sum((Part(inverse, 1 / np.float64(factor), is_constant),)))


def _apply(function: str, a: Sum) -> Sum:
    if all(part.term == ONE for part in a.parts):
        value = sum(part.factor for part in a.parts)
        return _make_sum([Part(ONE, getattr(np, function)(value), any(part.is_constant for part in a.parts))])
    return Sum((Part(Term(((Call(function, a), 1),)), 1.0, False),))


def _times(a: Part, b: Part) -> Part:
    powers: dict = {}
    for atom, power in a.term.factors + b.term.factors:
        powers[atom] = powers.get(atom, 0) + power
    factors = [(atom, power) for atom, power in powers.items() if power]
    factors.sort(
        key=lambda one: (not isinstance(one[0], int), Term((one,)).form if isinstance(one[0], Call) else one[0])
    )
    return Part(Term(tuple(factors)), a.factor * b.factor, a.is_constant or b.is_constant)


def _as_factor(a: Sum) -> Part:
    """A sum as one term: of several terms one has the factor 1, what it had stands before the whole."""
    if len(a.parts) < 2:
        return a.parts[0] if a.parts else Part(ONE, 0.0, False)
    lead = next((part for part in a.parts if not part.is_constant), a.parts[0])
    inner = tuple(
        Part(part.term, 1.0, False)
        if part is lead
        else Part(part.term, part.factor / lead.factor, part.is_constant or lead.is_constant)
        for part in a.parts
    )
    return Part(Term(((Call("", Sum(inner)), 1),)), lead.factor, lead.is_constant)


_BINARY = {"+": _add, "-": _subtract, "*": _multiply, "/": _divide}
