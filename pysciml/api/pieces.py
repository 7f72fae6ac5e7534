"""Members of an ensemble, solved a piece at a time: here, or by the workers of a dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datasets.store import Store
from ..engines.base import NOTHING_FIRED, AbstractEngine, RawEnsemble, Status, usable_cores
from ..engines.choose import load_engine
from ..errors import EngineUnavailable, PySciMLError
from ..problems.batch import Batch
from ..requests import EnsembleRequest, SolveRequest
from .summaries import Summaries
from .summary_store import SummaryStore

MOST_BYTES = 2**26  # of parameters repeated for each time
RETRIES = 2  # of a piece whose worker failed

Pieces = Sequence[tuple[int, int]]
Results = Summaries | Store | SummaryStore


def solve_pieces(
    chosen: AbstractEngine, batch: Batch, asked: EnsembleRequest, pieces: Pieces, results: Results, show: Callable
) -> RawEnsemble | None:
    """Solve members from one number up to another, piece by piece; what ran, None if nothing was to do."""
    ran: list[RawEnsemble] = []
    for start, stop in pieces:
        raw, y, p = _solve_piece(chosen, batch, asked, start, stop)
        ran.append(_without_values(raw))
        results.add(start, raw, y, p)
        show(stop - start)
        if (raw.codes == Status.INTERRUPTED.code).any():
            break
    return _join(ran)


def _solve_piece(chosen, batch, asked, start, stop):
    """What the engine gives, observables and parameters of some members."""
    u0, p = batch.values(start, stop)
    raw = chosen.solve_ensemble(replace(asked, u0=u0, p=_with_hidden(p, asked.solve)))
    return raw, _observe(chosen, batch, asked.solve, raw, p), p


def _with_hidden(p, solve: SolveRequest):
    """Parameters with the hidden ones of events behind them, which are the same for all."""
    hidden = np.repeat(solve.p[np.newaxis, p.shape[1] :], len(p), axis=0)
    return np.hstack([p, hidden]) if hidden.size else p


def _without_values(raw: RawEnsemble) -> RawEnsemble:
    return replace(raw, u=np.zeros((0, 0, 0)), codes=raw.codes[:0].copy(), statistics={}, firings=NOTHING_FIRED)


def _join(ran: Sequence[RawEnsemble]) -> RawEnsemble | None:
    """The first of what ran, with all words of the others."""
    if not ran:
        return None
    words = dict.fromkeys(word for raw in ran for word in raw.algorithm.split(", "))
    return replace(ran[0], algorithm=", ".join(words), reason="; ".join(dict.fromkeys(raw.reason for raw in ran)))


def _observe(chosen, batch: Batch, solve: SolveRequest, raw: RawEnsemble, p) -> np.ndarray | None:
    """Observables ``(member, time, observable)``, some members at a time."""
    program = batch.problem.observe
    if program is None:
        return None
    assert solve.saveat is not None
    n_times, found = len(solve.saveat), []
    step = max(1, MOST_BYTES // (8 * n_times * (p.shape[1] + 1)))
    for start in range(0, len(p), step):
        u = raw.u[start : start + step]
        rows = p[0] if not batch.p else np.repeat(p[start : start + step], n_times, axis=0)
        y = chosen.observe(program, np.tile(solve.saveat, len(u)), u.reshape(-1, u.shape[2]), rows)
        found.append(y.reshape(len(u), n_times, -1))
    y = np.concatenate(found)
    y[np.isnan(raw.u).all(axis=2)] = np.nan  # what depends on the time alone too
    return y


def solve_on_cluster(
    client,
    chosen: AbstractEngine,
    batch: Batch,
    asked: EnsembleRequest,
    pieces: Pieces,
    results: Results,
    show: Callable,
) -> RawEnsemble | None:
    """The same by a cluster's workers, which write to a store themselves, so that nothing large passes the scheduler.

    Raises
    ------
    EngineUnavailable
        Without dask.
    PySciMLError
        If workers die again and again at the same piece, or the scheduler is gone.
    """
    if not pieces:
        return None
    ran: list[RawEnsemble] = []
    with _connect(client) as client:
        from distributed import as_completed

        def keep(outcome, start, stop):
            raw, share = outcome
            ran.append(raw)
            if share is not None and isinstance(results, Summaries):
                results.take(start, share)
            show(stop - start)

        work = client.scatter(_Work(chosen.name, batch, asked, results), broadcast=True, hash=False)

        def submit(piece):
            return client.submit(_Work.solve, work, *piece, pure=False, retries=RETRIES)

        rest = list(pieces)
        if isinstance(results, Store):  # which the first piece makes
            first = rest.pop(0)
            keep(_ask(submit(first)), *first)
        futures = {submit(piece): piece for piece in rest}
        try:
            for future in as_completed(futures):
                keep(_ask(future), *futures[future])
                future.release()
        except KeyboardInterrupt:  # what is done is kept
            client.cancel(list(futures), force=True)
            if not ran:
                raise
        except BaseException:
            client.cancel(list(futures), force=True)
            raise
    return _join(ran)


@dataclass(frozen=True, eq=False)
class _Work:
    """What the pieces of an ensemble have in common: one object, since dask sends items of a tuple each by itself."""

    engine: str
    batch: Batch
    asked: EnsembleRequest
    results: Results

    def solve(self, start: int, stop: int) -> tuple[RawEnsemble, dict[str, np.ndarray] | None]:
        """A worker's task: a piece, and what it contributes where that is not written here."""
        raw, y, p = _solve_piece(load_engine(self.engine), self.batch, self.asked, start, stop)
        if isinstance(self.results, Summaries):
            share = self.results.share(start, raw, y, p)
            return _without_values(raw), {name: _shorten(values) for name, values in share.items()}
        self.results.add(start, raw, y, p)
        return _without_values(raw), None


def _shorten(values):
    """Whole numbers in as few bytes as hold them: they pass the scheduler."""
    if values.dtype.kind != "i" or not values.size:
        return values
    return values.astype(np.result_type(*map(np.min_scalar_type, (values.min(), values.max()))))


def _ask(future):
    """What a task gives; what goes wrong around it in the user's words."""
    from distributed import CancelledError, KilledWorker

    remedy = "; with to=..., the same call goes on with what is complete there"
    try:
        return future.result()
    except KilledWorker as error:
        raise PySciMLError(
            f"ensemble: workers ended again and again at one piece (out of memory? a smaller chunk_size){remedy}"
        ) from error
    except (CancelledError, OSError) as error:
        raise PySciMLError(f"ensemble: the connection to the dask scheduler is lost{remedy}") from error


@contextmanager
def _connect(client) -> Iterator[Any]:
    """The user's cluster, or one of this machine's cores."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise EngineUnavailable("parallel='dask' needs dask.distributed: pip install 'pysciml[dask]'") from error
    if client is not None:
        yield client
        return
    with LocalCluster(n_workers=usable_cores(), threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as own:
            yield own
