"""Losses: words, likelihoods and functions, as what an objective is made of."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from ..problems.times import read_times
from ..tracing.layout import Layout, make_layout
from ..tracing.record import Record
from ..tracing.trace import trace_observables
from ..words import nearest
from .likelihoods import LIKELIHOODS, Likelihood, Poisson, log_gamma
from .observations import Observations

LOSSES = ("nmse", "mse", "mae", "huber", "relative")
SQUARES = ("nmse", "mse", "relative")


class Compared(NamedTuple):
    """How an objective compares one experiment with its data: fields of ``ObjectiveRequest``."""

    values: np.ndarray
    weights: np.ndarray
    observe: Program | None
    sees_data: bool = False
    whole: Program | None = None


@dataclass(frozen=True)
class Loss:
    """A loss by variable, a word or a likelihood each, or a function of the whole solution."""

    by_name: Mapping[str, str | Likelihood] | None  # None: ``function``
    default: str | Likelihood | None = None
    function: Callable | None = None

    def of(self, name: str):
        """The word or likelihood of a variable."""
        return self.default if self.by_name is None else self.by_name.get(name, self.default)

    @property
    def is_likelihood(self) -> bool:
        """Whether the loss is a negative log likelihood."""
        return self.function is None and isinstance(
            next(iter((self.by_name or {}).values()), self.default), LIKELIHOODS
        )

    def __repr__(self):
        if self.function is not None:
            return getattr(self.function, "__name__", "function")
        return repr(dict(self.by_name)) if self.by_name else str(self.default)


def read_loss(loss, names: Sequence[str]) -> Loss:
    """What a user gave as a loss, for measured variables of these names; ProblemError for what isn't one."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, Mapping):
        if unknown := [name for name in loss if name not in names]:
            raise ProblemError(
                f"loss: {unknown[0]!r} isn't measured (data have {', '.join(names)}){nearest(unknown[0], names)}"
            )
        if missing := [name for name in names if name not in loss]:
            raise ProblemError(f"loss has no entry for {missing[0]!r}, which data have")
        found = {name: _read_one(item) for name, item in loss.items()}
        if len({isinstance(item, str) for item in found.values()}) > 1:
            raise ProblemError("loss: words are means and likelihoods are sums; give likelihoods to all variables")
        return Loss(found)
    if callable(loss) and not isinstance(loss, type) and not isinstance(loss, LIKELIHOODS):
        return Loss(None, None, loss)
    return Loss(None, _read_one(loss))


def _read_one(loss):
    if isinstance(loss, LIKELIHOODS) or (isinstance(loss, str) and loss in LOSSES):
        return loss
    if isinstance(loss, type) and issubclass(loss, LIKELIHOODS):
        if loss is Poisson:
            return loss()
        raise ProblemError(f"loss: {loss.__name__} needs its scatter, as in ps.{loss.__name__}(0.1)")
    words = ", ".join(map(repr, LOSSES))
    raise ProblemError(
        f"loss: unknown loss {loss!r}; one of {words}, ps.Normal(...), ps.LogNormal(...), ps.Poisson(), "
        f"ps.NegativeBinomial(...), or a function loss(prediction, data, p){nearest(str(loss), LOSSES)}"
    )


def noise_names(loss: Loss, names: Sequence[str], p: Layout) -> tuple[str, ...]:
    """Parameters that are a likelihood's scatter; ProblemError where there is no such parameter."""
    found = []
    for name in names if loss.function is None else ():
        noise = _noise_of(loss.of(name), name)
        if isinstance(noise, str):
            if noise not in p.names:
                known = ", ".join(p.names)
                raise ProblemError(
                    f"loss: {noise!r} is the scatter of {name!r}, but no parameter (they are {known}); add its start "
                    f"value to the problem's p{nearest(noise, p.names)}"
                )
            if p.form != "record" or p[noise].shape != () or p[noise].network is not None:
                raise ProblemError(f"loss: the scatter {noise!r} must be a single number in p")
            found.append(noise)
    return tuple(dict.fromkeys(found))


def _noise_of(term, name):
    """A likelihood's scatter of one variable; None where there is none."""
    field = getattr(term, "SCATTER", None)
    noise = None if field is None else getattr(term, field)
    if isinstance(noise, Mapping):
        if name not in noise:
            raise ProblemError(f"loss: {type(term).__name__} has no scatter for {name!r}")
        return noise[name]
    return noise


def loss_scales(loss: Loss, observations: Sequence[Observations], fields) -> dict[str, float]:
    """What each observed variable is divided by: the standard deviation of all its data, for ``"mse"`` 1.

    Data that do not vary are divided by their size, and zeros by 1. ``fields`` are pairs of a name and its columns.
    """
    scales = {}
    for name in dict.fromkeys(name for name, _ in fields):
        columns = [part for other, part in fields if other == name]
        data = np.concatenate([seen.values[:, part].ravel() for seen in observations for part in columns])
        data = data[np.isfinite(data)]
        if data.size:
            spread = float(np.std(data))
            scales[name] = 1.0 if loss.of(name) == "mse" else spread or float(np.max(np.abs(data))) or 1.0
    return scales


class Comparison:
    """A loss ready to be applied to each experiment of a fit.

    ``observe`` makes the measured columns (None: they are the state), ``fields`` are pairs of a name and its columns;
    ``shapes`` the own shapes of the names. Penalties along the ``path``, Programs of time, state and parameters, are
    means over all times of data.
    """

    def __init__(self, loss: Loss, observe, fields, shapes, layouts, observations, weights=None, path=()):
        self._loss, self._observe, self._fields, self._shapes = loss, observe, tuple(fields), shapes
        self._u, self._p = layouts
        self._weights = _read_weights(weights, shapes)
        if self._weights and loss.function is not None:
            raise ProblemError("weights go with words and likelihoods; a function of the solution weighs by itself")
        self._total = sum(int(seen.mask.sum()) for seen in observations)
        self._path, self._n_times = tuple(path), sum(len(seen.times) for seen in observations)
        if self._path and loss.function is not None:
            raise ProblemError("penalty: put what sees the path into the loss, which is a function of it already")
        self.scales = loss_scales(loss, observations, self._fields)
        for name, part in self._fields:
            check = getattr(loss.of(name), "check", None)
            for seen in observations if check is not None else ():
                data = seen.values[:, part]
                check(name, data[np.isfinite(data)])
            if loss.of(name) == "relative" and any((seen.values[:, part] == 0).any() for seen in observations):
                raise ProblemError(f"loss: 'relative' divides by the data, and {name!r} has zeros; use 'nmse'")

    @property
    def is_weighted(self) -> bool:
        """Whether some data count more than others of their variable."""
        return bool(self._weights)

    def compare(self, seen: Observations, problem, coords) -> Compared:
        """The comparison with one experiment's data."""
        if self._loss.function is not None:
            return self._whole(seen)
        user = self._user_weights(seen, problem, coords)
        known = {name: self._known_noise(name, seen, problem, coords) for name in self.scales}
        if self.is_squares:
            return self._squares(seen, user)
        return self._pointwise(seen, user, known)

    @property
    def is_squares(self) -> bool:
        """Whether the loss is a sum of squares."""
        return not self._path and self._loss.function is None and all(map(self._is_square, self.scales))

    def for_others(self, observations) -> "Comparison":
        """The same, with the same scales and without penalties, for other data; means are over these."""
        other = copy(self)
        other._path = ()
        other._total = sum(int(seen.mask.sum()) for seen in observations)
        return other

    def as_squares(self, observations) -> "Comparison":
        """The same without penalties, or that of ``"nmse"`` if the loss is no sum of squares."""
        other = self.for_others(observations)
        if other.is_squares:
            return other
        shapes, layouts = self._shapes, (self._u, self._p)
        return Comparison(Loss(None, "nmse"), self._observe, self._fields, shapes, layouts, observations)

    def _is_square(self, name):
        term = self._loss.of(name)
        return term in SQUARES if isinstance(term, str) else False

    def _squares(self, seen, user):
        weights = np.zeros(seen.values.shape)
        for name, part in self._fields:
            if name in self.scales:
                divisor = seen.values[:, part] if self._loss.of(name) == "relative" else self.scales[name]
                weights[:, part] = 1.0 / divisor**2
        weights = np.where(seen.mask, weights * user, 0.0) / self._total
        return Compared(np.where(seen.mask, seen.values, 0.0), weights, self._observe)

    def _pointwise(self, seen, user, known):
        """Data with what is known beside each datum behind them; losses are made of the state and these."""
        data, beside = np.ones(seen.values.shape), np.zeros(seen.values.shape)
        weights = np.where(seen.mask, user, 0.0)
        for name, part in self._fields:
            term, column = self._loss.of(name), seen.values[:, part]
            is_seen = np.isfinite(column)
            if name not in self.scales:
                continue
            data[:, part] = np.where(is_seen, column, 1.0)
            if known[name] is not None:
                beside[:, part] = known[name]
            elif hasattr(term, "known"):
                beside[:, part] = np.where(is_seen, term.known(np.where(is_seen, column, 1.0)), 0.0)
            elif isinstance(term, str):
                weights[:, part] /= self._total
        path = np.full((len(seen.times), len(self._path)), 1.0 / self._n_times)
        program = self._terms(seen.values.shape[1])
        return Compared(np.hstack([data, beside]), np.hstack([weights, path]), program, sees_data=True)

    def _terms(self, m: int) -> Program:
        """Losses of all ``m`` columns, of a state with data and what is known beside them behind it, and penalties."""
        z = make_layout("record", {name: ((m,), None, True) for name in ("y", "d", "known")})

        def losses(t, u, p):
            found, done = [], 0
            for name, part in self._fields:
                y, d, known = u.y[part], u.d[part], u.known[part]
                found.append(0.0 * u.d[done : part.start])  # states that nobody measured
                done = part.stop
                term = self._loss.of(name)
                if isinstance(term, str):
                    found.append(_word_losses(term, y, d, self.scales[name]))
                else:
                    noise = _noise_of(term, name)
                    if isinstance(noise, str) or noise is None:
                        found.append(term.losses(y, d, known, noise and p[noise]))
                    else:  # it stands in the place of what is known of counts
                        found.append(term.losses(y, d, log_gamma(d + 1.0), known))
            found.append(0.0 * u.d[done:])
            return np.concatenate([part for part in found if part.shape[0]])

        terms, _ = trace_observables(losses, z, self._p)
        builder, n = ProgramBuilder(), self._u.size
        t, u = builder.add_input("t", ()), builder.add_input("u", (n + 2 * m,))
        p = builder.add_input("p", (self._p.size,))
        y = state = builder.add("slice", (u,), ((0,), (n,), (1,)))
        if self._observe is not None:
            (y,) = inline_program(builder, self._observe, [t, state, p])
        beside = builder.add("slice", (u,), ((n,), (2 * m,), (1,)))
        found = list(inline_program(builder, terms, [t, builder.add("concatenate", (y, beside), (0,)), p]))
        for penalty in self._path:
            found += inline_program(builder, penalty, [t, state, p])
        whole = builder.add("concatenate", tuple(found), (0,)) if len(found) > 1 else found[0]
        return simplify_program(builder.build([("l", whole)]))

    def _whole(self, seen):
        """The user's function of everything measured."""
        n, m = seen.values.shape
        z = make_layout("record", {name: ((n, m), None, True) for name in ("y", "d")})
        function = self._loss.function

        def whole(t, u, p):
            def series(values):
                named = {name: values[:, part].reshape((n, *self._shapes[name])) for name, part in self._fields}
                return Record({"time": seen.times, **named})

            return function(series(u.y), series(u.d), p)

        program, layout = trace_observables(whole, z, self._p)
        if layout.form != "scalar":
            shape = layout.entries[0].shape if layout.entries else ()
            raise ProblemError(f"loss: the function must return a single number, got {layout.form} of shape {shape}")
        builder = ProgramBuilder(program.inputs)
        (value,) = inline_program(builder, program, range(3))
        program = simplify_program(builder.build([("l", builder.add("reshape", (value,), ((1,),)))]))
        return Compared(seen.values, seen.mask.astype(float), self._observe, whole=program)

    def _user_weights(self, seen, problem, coords):
        weights = np.ones(seen.values.shape)
        for name, part in self._fields:
            if name in self._weights:
                values = _aligned(f"weights[{name!r}]", self._weights[name], seen.times, problem, coords)
                if not (values >= 0).all():
                    raise ProblemError(f"weights[{name!r}] must be finite and not negative")
                weights[:, part] = values.reshape(len(values), -1)
        return weights

    def _known_noise(self, name, seen, problem, coords):
        """Scatter given as numbers, ``(1 or time, 1 or column)``; None where it is fitted, or there is none."""
        noise = _noise_of(self._loss.of(name), name)
        if noise is None or isinstance(noise, str):
            return None
        values = _aligned(f"loss: the scatter of {name!r}", noise, seen.times, problem, coords)
        if not (values > 0).all():
            raise ProblemError(f"loss: the scatter of {name!r} must be positive and finite everywhere")
        return values.reshape(len(values), -1)


def _word_losses(word, y, d, scale):
    """Losses of a word; squares too, where other variables have other words."""
    if word == "relative":
        return ((y - d) / d) ** 2
    r = (y - d) / scale
    if word == "mae":
        return np.abs(r)
    if word == "huber":
        size = np.abs(r)
        return np.where(size <= 1.0, r**2, 2.0 * size - 1.0)
    return r**2


def _read_weights(weights, shapes):
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        raise ProblemError("weights must be a dict or Dataset, a number or DataArray a variable: weights={'x': 2.0}")
    if unknown := [name for name in weights if name not in shapes]:
        raise ProblemError(f"weights: {unknown[0]!r} isn't measured{nearest(str(unknown[0]), shapes)}")
    return dict(weights)


def _aligned(where, value, times, problem, coords) -> np.ndarray:
    """A number, or values over ``time`` at these times, of one experiment: ``(1 or time, ...)``."""
    if not isinstance(value, xr.DataArray):
        return np.atleast_1d(np.asarray(value, dtype=float))
    value = value.sel({dim: label for dim, label in coords.items() if dim in value.dims})
    if "time" not in value.dims:
        return np.asarray(value.values, dtype=float)[np.newaxis]
    value = value.transpose("time", ...)
    own = read_times(where, value["time"], problem.calendar)
    places = np.searchsorted(own, times)
    if (places >= own.size).any() or not np.array_equal(own[np.minimum(places, own.size - 1)], times):
        raise ProblemError(f"{where}: its times must hold all of the data's times")
    return np.asarray(value.values, dtype=float)[places]
