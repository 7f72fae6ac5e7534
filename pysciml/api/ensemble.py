"""ensemble(): one problem solved for many values, over the dims of these."""

import hashlib
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from ..datasets.attrs import to_json
from ..datasets.ensembles import trajectories
from ..datasets.event_variables import ensemble_event_variables
from ..datasets.store import Store
from ..engines.base import NOTHING_FIRED, EnsembleFirings, Status, check_capabilities
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError, SolveFailed
from ..problems.batch import Batch, read_batch
from ..problems.draws import check_count, check_seed
from ..problems.ode import ODEProblem
from ..problems.schema import problem_to_json
from ..requests import EnsembleRequest, SolveRequest
from ..words import check_keywords, nearest
from .algorithm import Algorithm
from .devices import check_numbers
from .pieces import solve_on_cluster, solve_pieces
from .solve import check_switches, recall_request, settings_of
from .summaries import Summaries, make_summaries
from .summary_store import SummaryStore

PARALLEL = ("auto", "serial", "threads", "lanes", "dask")
CHUNK_BYTES = 2**25  # of states at save times that an engine holds at once


def ensemble(
    problem: ODEProblem,
    over=None,
    *,
    trajectories: int | None = None,
    algorithm: str | Algorithm = "auto",
    saveat=None,
    reduce=None,
    parallel: str = "auto",
    to: str | PathLike | None = None,
    chunk_size: int | None = None,
    client=None,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float64",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    tstops=None,
    dt: float | None = None,
    dtmax: float | None = None,
    max_steps: int = 100_000,
    max_seconds: float | None = None,
    engine: str = "auto",
    progress: bool = False,
    **unknown,
) -> xr.Dataset:
    """Return the solutions of a problem for many values of its parameters and initial state.

    Parameters
    ----------
    problem : ODEProblem
        What all have in common.
    over : dict or Dataset
        Values by name of a parameter, a state or ``u0_<state>``, in its unit. Any dim that the problem's own value
        lacks is a batch dim: a list under ``k`` makes a new dim ``k`` (several lists: all combinations), DataArrays
        that share a dim go together. A frozen distribution of scipy.stats is drawn ``trajectories`` times, along
        ``trajectory``; :func:`sample` draws more evenly.
    trajectories : int, optional
        How often distributions are drawn.
    algorithm, rtol, atol, tstops, dt, dtmax, max_steps, max_seconds, engine
        As for :func:`solve`; ``max_seconds`` is each member's own, so that one which never ends costs no more.
    saveat : array_like
        Times ``(time,)``, as for :func:`solve`; an ensemble needs them, since members have other steps.
    reduce : str, list of str or callable, optional
        Keep no trajectories, only summaries. Words: ``"mean"``, ``"std"``, ``"var"``, ``"min"``, ``"max"`` and
        ``"quantile"`` (5, 25, 50, 75, 95 %) at each save time, over ``trajectory`` where there is that dim, else over
        all batch dims; ``"last"``, the last values of each member; ``"events"``, how often each event fired in each
        member, and when first and last. A function ``reduce(solution, p) -> {name: value}`` is traced and applied to
        each member: ``solution.x`` is ``(time, *own dims)``, ``solution.time`` the save times.
    parallel : {"auto", "serial", "threads", "lanes", "dask"}, default "auto"
        How the members are shared out: one after the other; over the cores (Julia); or neighbours side by side as one
        wide problem, whose steps the one that needs the shortest decides: the quickest way for many small problems
        that aren't stiff. ``"auto"`` takes what suits the problem and their number. ``"dask"``: as chunks on the
        workers of a cluster (``pip install 'pysciml[dask]'``), each of which shares its own out by ``"auto"``; with
        ``to`` they write themselves.
    to : path, optional
        A folder (``"sweep.zarr"``) that results are written to as they come, and can be read from meanwhile. The same
        call goes on with what is there: after a crash nothing complete is solved again, and what is damaged is. A
        path with something else in it is refused. With ``reduce``, what each chunk contributes is kept beside it, in
        ``"sweep.zarr.pieces"``, until all are there; only then is the result written.
    chunk_size : int, optional
        Members that are solved, and written, at once, which bounds the memory. None: some 32 MB of states.
    client : distributed.Client, optional
        The cluster for ``parallel="dask"``. None: one process a core of this machine, in a script below
        ``if __name__ == "__main__":``.
    seed : int, default 0
        Of the draws: same seed, same draws, whatever else ``over`` holds.
    device : {"cpu", "gpu"}, default "cpu"
        ``"gpu"``: on this machine's first NVIDIA card, for tens of thousands of members and more.
    dtype : {"float64", "float32"}, default "float64"
        In which numbers members are solved; results are float64 all the same. float32 has seven digits, so it takes
        ``rtol`` from 1e-6 on, and 1e-4 for stiff problems. It is for GPUs, most of which are slow in float64; on the
        CPU it is quicker on diffrax only.
    progress : bool, default False
        Show how many members are done.

    Returns
    -------
    xarray.Dataset
        States and observables ``(*batch dims, time, *own dims)``, NaN after a failure or an event that ends a solve;
        what differs between members as coordinates on the batch dims; ``status (*batch dims)``, whose
        ``flag_meanings`` say what its codes are; ``statistics (*batch dims, statistic)``: steps, evaluations.
        ``ds.sciml.failed()`` lists failed members. With ``reduce``: ``<name>_<word>``, or what the function returns,
        in the place of states and observables. With ``to``, arrays are read from there when they are asked for.
        The times of an event are ``<name>_time (*batch dims, name)``, as many as in the member in which it fired most
        often, NaN behind; with ``to`` they come when all else is there. Of dates that can't be missing (cftime, before
        1678) they are the time since the first of ``t_span``, in ``units["time"]``.

    Raises
    ------
    ProblemError
        For arguments that can't be, and without ``saveat``.
    PySciMLError
        If ``to`` can't be written, as on a full disk; what is complete stays.
    UnsupportedByEngine
        If the engine lacks the algorithm or the way to share out, and for events that change parameters.
        Also for events and mass matrices on a GPU or in float32.
    EngineUnavailable
        If the engine asked for isn't ready, or there is no GPU.
    SolveFailed
        After Ctrl-C only; ``partial`` holds what is done. A member that fails never raises. Before a cluster has solved
        the first piece, there is nothing yet, and the KeyboardInterrupt itself is passed on.

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.rate * u.x}, {"x": 1.0}, (0, 5), {"rate": 0.5})
    >>> ds = ps.ensemble(problem, {"rate": [0.1, 1.0], "x": [1.0, 2.0, 3.0]}, saveat=[0, 5], engine="diffrax")
    >>> dict(ds.x.sizes), ds.x.sel(rate=0.1, u0_x=2.0, time=5).item().__round__(4)
    ({'rate': 2, 'u0_x': 3, 'time': 2}, 1.2131)
    """
    if unknown:
        check_keywords("ensemble", unknown, ["over", *(ensemble.__kwdefaults__ or ())])
    check_switches(progress, True, "dataset")
    _check_parallel(parallel)
    steps = tstops, dt, dtmax, max_steps, max_seconds
    request, shown = recall_request("ensemble", problem, algorithm, saveat, rtol, atol, *steps)
    check_numbers(device, dtype, parallel, rtol)
    if saveat is None:
        start, end = problem.t_span
        raise ProblemError(
            "ensemble: saveat is missing: each member has steps of its own, so say at which times all are wanted, such "
            f"as saveat=np.linspace({start}, {end}, 101)"
        )
    batch = read_batch(problem, over, trajectories, check_seed(seed))
    request = _with_stops(request, batch)
    chosen = choose_engine(engine)
    word = "auto" if parallel == "dask" else parallel
    n_visible = problem.p_values.size
    asked = EnsembleRequest(request, request.u0[np.newaxis], request.p[np.newaxis], n_visible, word, device, dtype)
    check_capabilities(chosen, asked.needs, engine_capabilities())
    chunk = _chunk_size(chunk_size, request)
    settings = settings_of(request, engine, problem) | {"chunk_size": chunk, "dtype": dtype}
    results, pieces = _make_results(to, reduce, batch, request, shown, chunk, settings | {"engine": chosen.name})
    settings |= {"parallel": parallel, "seed": seed, "device": device}
    with _progress_bar(progress, batch.size) as show:
        if parallel == "dask":
            raw = solve_on_cluster(client, chosen, batch, asked, pieces, results, show)
        else:
            raw = solve_pieces(chosen, batch, asked, pieces, results, show)
    ds = results.finish(raw, chosen.name, settings)
    if (results.codes == Status.INTERRUPTED.code).any():
        message = "ensemble: interrupted by the user; partial holds the members that are done"
        raise SolveFailed(message, Status.INTERRUPTED, ds)
    return ds


def _make_results(
    to, reduce, batch: Batch, request: SolveRequest, shown, chunk: int, settings: Mapping
) -> tuple[Summaries | Store | SummaryStore, list[tuple[int, int]]]:
    """Where results go, and the members that are still to be solved: from one number up to another."""
    assert request.saveat is not None
    if to is None:
        pieces = [(k, min(k + chunk, batch.size)) for k in range(0, batch.size, chunk)]
        if reduce is None:
            return _Paths(batch, request.saveat, shown, request.events), pieces
        return make_summaries(reduce, batch, request.saveat, shown, request.events), pieces
    if not isinstance(to, str | PathLike) or "://" in str(to):
        raise ProblemError(
            f"ensemble: to must be the path of a folder on this machine, such as 'sweep.zarr', got {to!r}"
        )
    if reduce is None:
        identity = _identify(batch, request, settings)
        store = Store(Path(to), batch, request.saveat, shown, identity, chunk, request.events)
    else:
        summaries = make_summaries(reduce, batch, request.saveat, shown, request.events)
        identity = _identify(batch, request, {**settings, "reduce": summaries.key})
        store = SummaryStore(Path(to), summaries, identity, chunk)
    return store, store.missing()


def _identify(batch: Batch, request: SolveRequest, settings: Mapping) -> str:
    """A hash of all that results depend on: another way to share out changes last digits at most."""
    problem, over = batch.problem, batch.over
    digest = hashlib.sha256(problem_to_json(problem).encode())
    numbers = {dim: labels for dim, labels in over.labels.items() if isinstance(labels, np.ndarray)}
    labels = over.labels | {dim: labels.dtype.str for dim, labels in numbers.items()}
    digest.update(to_json({"sizes": over.sizes, "labels": labels, "settings": dict(settings)}).encode())
    for values in (*numbers.values(), request.saveat, request.tstops):
        digest.update(b"" if values is None else values.tobytes())
    for varied in (batch.p, batch.u0):
        for name, (dims, rows) in sorted(varied.items()):
            digest.update(f"{name} {dims} {rows.shape}".encode() + rows.tobytes())
    return digest.hexdigest()


def _check_parallel(word):
    if word not in PARALLEL:
        raise ProblemError(
            f"ensemble: unknown word parallel={word!r}; one of {', '.join(PARALLEL)}{nearest(word, PARALLEL)}"
        )


def _with_stops(request: SolveRequest, batch: Batch) -> SolveRequest:
    """The request with the stop times of all members."""
    stops = batch.stop_times
    if not stops.size:
        return request
    return replace(request, tstops=stops if request.tstops is None else np.union1d(request.tstops, stops))


def _chunk_size(given, request: SolveRequest) -> int:
    if given is not None:
        return check_count("chunk_size", given)
    assert request.saveat is not None
    member = 8 * (len(request.saveat) * request.u0.size + request.u0.size + request.p.size)
    return max(1, CHUNK_BYTES // member)


class _Paths(Summaries):
    """All trajectories at all save times: nothing is reduced."""

    def begin(self) -> None:
        self.values = np.full((self.batch.size, len(self.saveat), self.layout.size), np.nan)
        self.fired: list[EnsembleFirings] = [NOTHING_FIRED]

    def reduce(self, part: slice, values: np.ndarray, p: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": values}

    def reduce_events(self, firings: EnsembleFirings, size: int) -> dict[str, np.ndarray]:
        return {f"fired {name}": values for name, values in firings._asdict().items()}

    def join(self, part: slice, share: dict[str, np.ndarray]) -> None:
        self.values[part] = share["values"]
        member, t, event = (share[f"fired {name}"] for name in EnsembleFirings._fields)
        self.fired.append(EnsembleFirings(member + part.start, t, event))

    def variables(self) -> dict:
        fired = [np.concatenate(values) for values in zip(*self.fired, strict=True)]
        order = np.argsort(fired[0], kind="stable")  # on a cluster pieces come in any order
        found = EnsembleFirings(*(values[order] for values in fired))
        events = ensemble_event_variables(found, self.batch, self.events)
        return trajectories(self.batch, self.values, self.layout) | events


@contextmanager
def _progress_bar(progress, size):
    """A function that is told how many more members are done."""
    if not progress:
        yield lambda count: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=size, unit=" trajectories", desc="ensemble") as bar:
        yield bar.update
