"""Summaries of an ensemble, added up chunk by chunk so that no trajectory is kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import xarray as xr

from ..datasets.attrs import variable_attrs
from ..datasets.ensembles import ensemble_to_dataset, time_coord
from ..datasets.event_variables import event_statistics, event_statistics_variables
from ..datasets.status import succeeded
from ..engines.base import EnsembleFirings, RawEnsemble, Status
from ..errors import ProblemError, TraceError
from ..ir.evaluate import evaluate_program
from ..ir.expand import expand_networks
from ..ir.lanes import batch_program
from ..ir.program import Program
from ..ir.simplify import simplify_program
from ..problems.batch import Batch
from ..problems.draws import TRAJECTORY
from ..problems.flat import FlatEvent
from ..problems.names import check_name
from ..tracing.layout import Layout, join_layouts, make_layout
from ..tracing.record import Record
from ..tracing.trace import trace_observables
from ..words import nearest

WORDS = ("mean", "std", "var", "min", "max", "quantile", "last", "events")
PARTS = {  # what the words add up, over the values that are finite: how many, mean, squares of distances from it, ...
    "mean": ("count", "mean"),
    "std": ("count", "mean", "squares"),
    "var": ("count", "mean", "squares"),
    "min": ("min",),
    "max": ("max",),
}
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # of quantiles
MOST_BYTES = 2**30  # of the values that quantiles are of
BLOCK = 256  # members of which a function is evaluated at once


def read_reduce(reduce) -> tuple[str, ...] | Callable:
    """Words or a function; ProblemError otherwise."""
    if callable(reduce):
        return reduce
    words = (reduce,) if isinstance(reduce, str) else reduce
    if not isinstance(words, Sequence) or not words or not all(isinstance(word, str) for word in words):
        raise ProblemError(f"ensemble: reduce must be a word, a list of words or a function, got {reduce!r}")
    for word in words:
        if word not in WORDS:
            raise ProblemError(
                f"ensemble: unknown word reduce={word!r}; one of {', '.join(WORDS)}{nearest(word, WORDS)}"
            )
    return tuple(dict.fromkeys(words))


Share = dict[str, np.ndarray]  # what a chunk of members contributes


class Summaries:
    """What results of chunks are given to: ``status`` and statistics of each member, and what it is reduced to.

    A chunk is first reduced to its share, wherever that is; what is reduced is made of all shares.
    """

    def __init__(self, batch: Batch, saveat: np.ndarray, shown, events: tuple[FlatEvent, ...] = ()):
        self.batch, self.saveat, self.shown, self.events = batch, saveat, shown, events
        self.layout = join_layouts(batch.problem.u_layout, batch.problem.y_layout)
        self.codes = np.zeros(0, dtype=np.int8)
        self.statistics: dict[str, np.ndarray] = {}

    def add(self, start: int, raw: RawEnsemble, y: np.ndarray | None, p: np.ndarray) -> None:
        """Take the members from ``start`` on in."""
        self.take(start, self.share(start, raw, y, p))

    def share(self, start: int, raw: RawEnsemble, y: np.ndarray | None, p: np.ndarray) -> Share:
        """What the members from ``start`` on contribute."""
        part = slice(start, start + len(raw.u))
        values = raw.u if y is None else np.concatenate([raw.u, y], axis=2)
        counts = {f"statistic {name}": np.asarray(counts) for name, counts in raw.statistics.items()}
        share = {"codes": raw.codes} | counts | self.reduce(part, values, p, raw.codes)
        return share | self.reduce_events(raw.firings, len(raw.u))

    def take(self, start: int, share: Share) -> None:
        """Take what the members from ``start`` on contribute in."""
        self._start()
        part = slice(start, start + len(share["codes"]))
        self.codes[part] = share["codes"]
        for key, values in share.items():
            if key.startswith("statistic "):
                name = key.removeprefix("statistic ")
                self.statistics.setdefault(name, np.zeros(self.batch.size, dtype=np.int32))[part] = values
        self.join(part, share)

    def _start(self):
        if not self.codes.size:
            self.codes = np.full(self.batch.size, Status.INTERRUPTED.code, dtype=np.int8)
            self.begin()

    def begin(self) -> None:
        """Make room for what is reduced."""
        raise NotImplementedError

    def reduce(self, part: slice, values: np.ndarray, p: np.ndarray, codes: np.ndarray) -> Share:
        """The share of some members: from states and observables ``(member, time, element)``."""
        raise NotImplementedError

    def reduce_events(self, firings: EnsembleFirings, size: int) -> Share:
        """What events contribute to it."""
        return {}

    def join(self, part: slice, share: Share) -> None:
        """Add such a share."""
        raise NotImplementedError

    def variables(self) -> dict:
        """The result's variables."""
        raise NotImplementedError

    def coords(self) -> dict:
        """Coordinates of dims that aren't batch dims."""
        return {"time": time_coord(self.batch, self.shown)}

    def finish(self, raw: RawEnsemble | None, engine: str, settings: Mapping) -> xr.Dataset:
        """The whole result; ``raw`` says what ran."""
        assert raw is not None
        self._start()
        endings = self.codes, self.statistics
        return ensemble_to_dataset(self.batch, self.variables(), self.coords(), *endings, raw, engine, settings)

    def named(self, values: np.ndarray, dims: tuple, word: str) -> dict:
        """Variables ``<name>_<word>`` of an array whose last axis is that of all states and observables."""
        problem, found = self.batch.problem, {}
        for name, array in self.layout.unflatten(values).items():
            attrs = variable_attrs(name, problem.units, problem.long_names)
            attrs["long_name"] = f"{word} of {attrs['long_name']}"
            if word == "var":
                attrs.pop("units", None)  # its square, which labels can't say
            found[f"{name}_{word}"] = ((*dims, *problem.dims[name]), array, attrs)
        return found


class WordSummaries(Summaries):
    """Named summaries over ``trajectory`` where there is that dim, else over all batch dims; ``last`` of each member.

    Failed members count as far as they got: NaN is left out.
    """

    def __init__(self, batch: Batch, saveat: np.ndarray, shown, events: tuple[FlatEvent, ...], words: Sequence[str]):
        super().__init__(batch, saveat, shown, events)
        if "events" in words and not batch.problem.events:
            raise ProblemError("ensemble: reduce='events' needs a problem with events; this one has none")
        self.words, over = words, batch.over
        self.kept = tuple(dim for dim in over.dims if TRAJECTORY in over.dims and dim != TRAJECTORY)
        self.shape = tuple(over.sizes[dim] for dim in self.kept)
        self.key = f"words {' '.join(words)}"
        self.parts = tuple(dict.fromkeys(part for word in words for part in PARTS.get(word, ())))
        count = batch.size * len(saveat) * self.layout.size
        if "quantile" in words and 8 * count > MOST_BYTES:
            raise ProblemError(
                f"ensemble: reduce='quantile' needs all {count:.3g} values at once, over 1 GB; give fewer "
                "save times or trajectories, or a function of a trajectory whose results are few"
            )

    def begin(self) -> None:
        size = int(np.prod(self.shape, dtype=np.int64)), len(self.saveat), self.layout.size
        self.count, self.mean, self.squares = np.zeros(size), np.zeros(size), np.zeros(size)
        self.min, self.max = np.full(size, np.nan), np.full(size, np.nan)
        n_last, n_all = (self.batch.size if word in self.words else 0 for word in ("last", "quantile"))
        self.fired = np.full((self.batch.size, len(self.batch.problem.events), 3), np.nan)
        self.last, self.all = np.full((n_last, size[2]), np.nan), np.full((n_all, *size[1:]), np.nan)

    def reduce(self, part: slice, values: np.ndarray, p: np.ndarray, codes: np.ndarray) -> Share:
        share = {"last": values[:, -1]} if "last" in self.words else {}
        share |= {"all": values} if "quantile" in self.words else {}
        if not self.parts:
            return share
        groups, found = zip(*((group, self._add_up(rows)) for group, rows in self._groups(part, values)), strict=True)
        share |= {name: np.array([one[name] for one in found]) for name in self.parts}
        return share | {"groups": np.array(groups)}

    def _add_up(self, rows) -> Share:
        """The parts of some members."""
        found = {}
        if "count" in self.parts:
            is_there = np.isfinite(rows)
            has_all = bool(is_there.all())
            found["count"] = np.full(rows.shape[1:], len(rows)) if has_all else is_there.sum(axis=0)
            total = (rows if has_all else np.where(is_there, rows, 0.0)).sum(axis=0)
            found["mean"] = total / np.maximum(found["count"], 1)
        if "squares" in self.parts:
            squares = (rows - found["mean"]) ** 2
            found["squares"] = (squares if has_all else np.where(is_there, squares, 0.0)).sum(axis=0)
        if "min" in self.parts:
            found["min"] = np.fmin.reduce(rows)
        if "max" in self.parts:
            found["max"] = np.fmax.reduce(rows)
        return found

    def join(self, part: slice, share: Share) -> None:
        if "last" in share:
            self.last[part] = share["last"]
        if "events" in share:
            self.fired[part] = share["events"]
        if "all" in share:
            self.all[part] = share["all"]
        for k, group in enumerate(share.get("groups", ())):
            self._join_group(group, {name: share[name][k] for name in self.parts})

    def reduce_events(self, firings: EnsembleFirings, size: int) -> Share:
        return {"events": event_statistics(firings, self.batch, self.events, size)} if "events" in self.words else {}

    def _groups(self, part, values) -> Iterator[tuple[int, np.ndarray]]:
        """The members of each group among those of a chunk."""
        if not self.kept:
            yield 0, values
            return
        groups = self._group_of(np.arange(part.start, part.stop))
        for group in np.unique(groups):
            yield int(group), values[groups == group]

    def _group_of(self, members):
        places = dict(zip(self.batch.over.dims, np.unravel_index(members, self.batch.shape), strict=True))
        return np.ravel_multi_index(tuple(places[dim] for dim in self.kept), self.shape)

    def _join_group(self, group, parts):
        """Means and sums of squares of two sets together: Chan, Golub & LeVeque (1983), doi:10.2307/2683386."""
        if "count" in parts:
            both, shift = self.count[group] + parts["count"], parts["mean"] - self.mean[group]
            share = parts["count"] / np.maximum(both, 1)
            if "squares" in parts:
                self.squares[group] += parts["squares"] + shift**2 * self.count[group] * share
            self.mean[group] += shift * share
            self.count[group] = both
        if "min" in parts:
            self.min[group] = np.fmin(self.min[group], parts["min"])
        if "max" in parts:
            self.max[group] = np.fmax(self.max[group], parts["max"])

    def variables(self) -> dict:
        is_empty = self.count == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            var = np.where(is_empty, np.nan, self.squares / self.count)
        found = {"mean": np.where(is_empty, np.nan, self.mean), "var": var, "std": np.sqrt(var)}
        found |= {"min": self.min, "max": self.max}
        variables = {}
        for word in self.words:
            if word in found:
                values = found[word].reshape(*self.shape, *found[word].shape[1:])
                variables |= self.named(values, (*self.kept, "time"), word)
            elif word == "events":
                variables |= event_statistics_variables(self.fired, self.batch)
            elif word == "last":
                values = self.last.reshape(*self.batch.shape, -1)
                variables |= self.named(values, self.batch.over.dims, word)
            else:
                variables |= self.named(self._quantiles(), ("quantile", *self.kept, "time"), word)
        return variables

    def _quantiles(self):
        groups = self._group_of(np.arange(self.batch.size)) if self.kept else np.zeros(self.batch.size, dtype=int)
        found = np.full((len(LEVELS), *self.count.shape), np.nan)
        for group in range(found.shape[1]):
            rows = self.all[groups == group]
            some = np.isfinite(rows).any(axis=0)
            found[:, group, some] = np.nanquantile(rows[:, some], LEVELS, axis=0)
        return found.reshape(len(LEVELS), *self.shape, *found.shape[2:])

    def coords(self) -> dict:
        levels = {"quantile": ("quantile", np.array(LEVELS))} if "quantile" in self.words else {}
        return levels | (super().coords() if set(self.words) - {"last", "events"} else {})


class FunctionSummaries(Summaries):
    """What a traced function makes of each member's whole trajectory."""

    def __init__(self, batch: Batch, saveat: np.ndarray, shown, function: Callable):
        super().__init__(batch, saveat, shown)
        self.program, self.results = _trace_summary(function, self.layout, batch, saveat)
        self.key = f"function {self.program.hash} {' '.join(self.results.names)}"

    def begin(self) -> None:
        self.values = np.full((self.batch.size, self.results.size), np.nan)

    def reduce(self, part: slice, values: np.ndarray, p: np.ndarray, codes: np.ndarray) -> Share:
        done, kept = succeeded(codes), np.full((len(values), self.results.size), np.nan)
        for start in range(0, len(values), BLOCK):
            rows, own = values[start : start + BLOCK], p[start : start + BLOCK]
            count = len(rows)
            padding = [(0, BLOCK - count)]
            flat = np.pad(rows.reshape(count, -1), [*padding, (0, 0)], mode="edge")
            program = _many(self.program, BLOCK)
            found = evaluate_program(program, 0.0, flat, np.pad(own, [*padding, (0, 0)], mode="edge"))[0][:count]
            found[~done[start : start + count]] = np.nan
            kept[start : start + count] = found
        return {"values": kept}

    def join(self, part: slice, share: Share) -> None:
        self.values[part] = share["values"]

    def variables(self) -> dict:
        dims, found = self.batch.over.dims, {}
        for name, array in self.results.unflatten(self.values).items():
            own = tuple(f"{name}_dim_{k}" for k in range(array.ndim - 1))
            found[name] = ((*dims, *own), array.reshape(*self.batch.shape, *array.shape[1:]))
        return found

    def coords(self) -> dict:
        return {}


@lru_cache(maxsize=8)
def _many(program: Program, count: int) -> Program:
    return batch_program(expand_networks(program), ["u", "p"], count)


def _trace_summary(function, layout: Layout, batch: Batch, saveat) -> tuple[Program, Layout]:
    """The Program of a function of a trajectory and the parameters, and the layout of what it gives."""
    n, m = len(saveat), layout.size
    whole = make_layout("record", {"y": ((n, m), None, True)})

    def summarise(t, u, p):
        series = {e.name: u.y[:, e.slice].reshape((n, *e.shape)) for e in layout.entries}
        return function(Record({"time": saveat, **series}), p)

    try:
        program, results = trace_observables(summarise, whole, batch.problem.p_layout)
    except TraceError as error:
        raise TraceError(f"reduce: {error}") from error.__cause__
    if results.form != "record":
        raise ProblemError("ensemble: reduce must return a dict: lambda solution, p: {'peak': np.max(solution.x)}")
    taken = {*batch.over.dims, *batch.problem.p_layout.names, *(f"u0_{name}" for name in batch.u0)}
    for name in results.names:
        check_name("summary", name)
        if name in taken:
            raise ProblemError(f"ensemble: reduce returns {name!r}, which is the name of a parameter or dim; rename it")
    return simplify_program(program), results


def make_summaries(reduce, batch: Batch, saveat: np.ndarray, shown, events: tuple[FlatEvent, ...]) -> Summaries:
    """What ``reduce=`` asks for."""
    asked = read_reduce(reduce)
    if callable(asked):
        return FunctionSummaries(batch, saveat, shown, asked)
    return WordSummaries(batch, saveat, shown, events, asked)
