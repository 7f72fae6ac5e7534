"""recover(): what a network of a fit says, as equations."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
import xarray as xr

from ..errors import ProblemError, SolveFailed, UnsupportedByEngine
from ..fitting.likelihoods import LIKELIHOODS
from ..fitting.losses import LOSSES
from ..fitting.optimizers import LBFGS, LevenbergMarquardt
from ..fitting.trainable import from_limits
from ..ir.evaluate import evaluate_program
from ..ir.program import Input, ProgramBuilder
from ..problems.times import read_times
from ..recovery.library import Library, Term, evaluate_terms
from ..recovery.replacement import find_network, name_inputs, network_inputs, replace_network
from ..recovery.sparse import Sparse, check_pysindy, exchanges, sparse_path
from ..tracing.layout import Entry
from .fit import fit
from .fit_result import FitResult
from .fitted import SQUARES, over_of
from .recovered import Recovered
from .solve import solve

METHODS = ("pysindy",)
PATIENCE = 2  # candidates in a row that are worse than the best before the search ends
EXCHANGES = 8  # of a term for another, at most, that are tried at once
PRECISION = 10.0  # times the relative tolerance: what a solve's own error may be


def recover(
    result: FitResult,
    library: Library | None = None,
    *,
    network: str | None = None,
    held_out: xr.Dataset | None = None,
    most_terms: int | None = None,
    samples: int = 200,
    method: str = "pysindy",
    progress: bool = False,
    **options,
) -> Recovered:
    """Return equations for what a network of a fit learnt, fitted in its place.

    The network is evaluated along the fitted solution; sparse regression finds the few terms of a library that say the
    same, for each number of terms; these take the network's place in the model, from the simplest on, and their factors
    are fitted to the data again together with whatever else was trained.

    Parameters
    ----------
    result : FitResult
        A fit in which a network was trained.
    library : Library, optional
        The candidate terms. None is ``Library()``: monomials to degree 3, sine and cosine of each input.
    network : str, optional
        Name of the network; may be left out if there is one.
    held_out : xarray.Dataset, optional
        Data that the fit did not see, in the form of its data: each candidate's error there is reported, and decides
        nothing.
    most_terms : int, optional
        Most terms of a candidate, over all outputs; 4 an output where left out.
    samples : int, default 200
        Points along each experiment's solution, evenly in time (dimensionless).
    method : {"pysindy"}, default "pysindy"
        Whose sparse regression it is.
    progress : bool, default False
        Show each refit's bar.
    **options
        Those of :func:`fit` for the refits; factors are trained beside whatever is ``trainable``. Loss (of a word),
        engine, tolerances and what is trained are the result's where left out; the optimizer is
        :class:`LevenbergMarquardt` for a sum of squares, else :class:`LBFGS`. From what the regression found the whole
        span is fitted at once (``strategy=()``), and gradients aren't verified again.

    Returns
    -------
    Recovered
        The best equations, their fit, and a table of all candidates.

    Raises
    ------
    ProblemError
        If the result has no such network, or was fitted with a loss, weights, priors or penalties that it doesn't hold
        and that are not given again; if pysindy is missing.
    UnsupportedByEngine
        For other methods, and where events change parameters.
    SolveFailed
        If no candidate can be solved.

    Notes
    -----
    The best candidate has the least ``n log(loss) + k log(n) + 2 log(c)``, of a likelihood ``2 loss`` in place of the
    first, with n data and k terms, which can be chosen in c ways (the extended Bayesian information criterion: of so
    many choices some fit the noise); a loss below what the solves' tolerance leaves counts as that. The search ends
    when two candidates in a row are worse than the best before them. A network that learnt noisy data says something
    else than they do; so the best is then changed, a term of it left out, or one or two exchanged for another, as long
    as that makes it better in the model. Those exchanges are tried that say best what the network does. (Each candidate
    compiles anew on diffrax, which takes seconds.)

    References
    ----------
    Brunton, Proctor, Kutz (2016), Discovering governing equations from data by sparse identification of nonlinear
    dynamical systems, doi:10.1073/pnas.1517384113
    Kaptanoglu et al. (2022), PySINDy, doi:10.21105/joss.03994
    Chen, Chen (2008), Extended Bayesian information criteria for model selection with large model spaces,
    doi:10.1093/biomet/asn034

    Examples
    --------
    >>> import pysciml as ps
    >>> result = ps.fit(problem, data)  # doctest: +SKIP
    >>> ps.recover(result, ps.Library(degree=2)).equations  # doctest: +SKIP
    {'net[0]': '-0.024*hare*lynx', 'net[1]': '0.023*hare*lynx'}
    """
    _check(result, library, method, samples, most_terms)
    entry = find_network(result.problem, network)
    words = _fit_words(result, entry, options)
    terms = (library or Library()).terms(entry.network.in_size)
    inputs, outputs = _sample(result, entry, samples)
    names = name_inputs(result.problem, entry)
    columns = evaluate_terms(terms, inputs)
    path = sparse_path(columns, outputs, most_terms or 4 * entry.network.out_size)
    if not path:
        raise ProblemError(f"recover: {entry.name!r} is zero along the fit, so there is nothing to say by equations")
    search = _Search(result, entry, terms, words | {"progress": progress}, held_out)
    path, found = search.exchange(columns, outputs, path, search.follow(path))
    best = min(range(len(found)), key=lambda k: found[k].criterion)
    chosen = found[best].result
    if chosen is None:
        raise SolveFailed("recover: the model could not be solved with any of the candidates; see ps.Library")
    values = [one.coefficients for one in path]
    values[: len(found)] = [_read_coefficients(one, start) for one, start in zip(found, values, strict=False)]
    return Recovered(
        equations=_equations(entry, terms, values[best], names),
        result=chosen,
        candidates=_table([_equations(entry, terms, one, names) for one in values], path, found),
        best=best,
        samples=xr.Dataset(
            {"inputs": (("sample", "input"), inputs), "outputs": (("sample", "output"), outputs)},
            {"input": np.array(names, dtype=object)},
        ),
    )


def _check(result, library, method, samples, most_terms):
    """Refuse arguments that can't be."""
    if not isinstance(result, FitResult):
        raise ProblemError(f"recover: give what ps.fit returned, got {type(result).__name__}")
    if library is not None and not isinstance(library, Library):
        raise ProblemError(f"recover: library must be a ps.Library(degree=..., functions=...), got {library!r}")
    if str(method).lower() == "pysr":
        raise UnsupportedByEngine(
            "recover: PySR starts Julia by juliacall, and a process has one Julia, which is the Julia engine's here; "
            "use method='pysindy', or give the .samples of what this returns to PySR in a process of its own"
        )
    if method not in METHODS:
        raise UnsupportedByEngine(f"recover: unknown method {method!r}; it is 'pysindy'")
    for word, value in (("samples", samples), ("most_terms", most_terms)):
        is_left_out = word == "most_terms" and value is None
        if not is_left_out and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
            raise ProblemError(f"recover: {word} must be a positive integer, got {value!r}")
    changed = {name for event in result.problem.events for name in getattr(event, "changed", ())}
    if changed & set(result.problem.p_layout.names):
        raise UnsupportedByEngine("recover: events that change parameters are not supported by any engine")
    check_pysindy()


def _fit_words(result: FitResult, entry: Entry, options: dict) -> dict:
    """The words of the refits; ProblemError where the result doesn't hold one."""
    said = result.settings
    if "loss" not in options and (said["loss"] not in LOSSES or len(said["terms"]) > 1 or said["is_weighted"]):
        raise ProblemError(
            f"recover: the result doesn't hold the loss {said['loss']!r} with its weights, priors and penalties; give "
            "them again: recover(result, loss=..., ...)"
        )
    if "validation" not in options and np.isfinite(result.history.get("validation_loss", np.nan)).any():
        raise ProblemError(
            "recover: the fit held data back; say again which, recover(result, validation=...), or validation=None to "
            "use them too"
        )
    bounds = {label.split("(")[0]: from_limits(*ends) for label, ends in said["bounds"].items()}
    kept = [name for name in said["trained"] if name != entry.name and not name.startswith(f"{entry.name}.")]
    words = {key: said[key] for key in ("loss", "engine", "rtol", "atol")} | {"over": over_of(result)}
    words |= {"trainable": {name: bounds.get(name, True) for name in kept}} | options
    if not isinstance(words["trainable"], Mapping):
        given = words["trainable"]
        words["trainable"] = dict.fromkeys([given] if isinstance(given, str) else given or (), True)
    is_plain = words["loss"] in SQUARES if isinstance(words["loss"], str) else False
    is_plain = is_plain and words.get("penalty") is None and words.get("priors") is None
    return {"optimizer": LevenbergMarquardt() if is_plain else LBFGS(), "strategy": (), "verify": "never"} | words


def _sample(result: FitResult, entry: Entry, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and outputs of the network along the solutions, from their starts to the last of the data."""
    inputs = []
    for _, problem in result.members or (({}, result.problem),):
        end = min(problem.span[1], read_times("time", result.data["time"], problem.calendar).max())
        times = np.linspace(problem.span[0], end, samples)
        shown = times if problem.calendar is None else problem.calendar.to_dates(times)
        words = {key: result.settings[key] for key in ("engine", "rtol", "atol")}
        values = solve(problem, saveat=shown, output="arrays", **words)[1]
        states = np.concatenate([values[name].reshape(samples, -1) for name in problem.u_layout.names], axis=1)
        inputs.append(network_inputs(problem, entry, times, states))
    inputs = np.concatenate(inputs)
    builder = ProgramBuilder([Input("weights", (entry.size,)), Input("x", inputs.shape)])
    program = builder.build([("y", builder.add("network", (0, 1), entry.network.attrs))])
    return inputs, evaluate_program(program, result.problem.p_values[entry.slice], inputs)[0]


@dataclass(frozen=True, eq=False)
class _Refit:
    """A candidate inside the model: its fit (None where that failed) and the names of its factors."""

    result: FitResult | None
    names: tuple[str, ...]
    criterion: float
    held_out: float


@dataclass(frozen=True, eq=False)
class _Search:
    """What candidates are fitted in, and how."""

    result: FitResult
    entry: Entry
    terms: tuple[Term, ...]
    words: dict
    held_out: xr.Dataset | None

    def fit(self, candidate: Sparse) -> _Refit:
        """A fit with one candidate."""
        problem, names = replace_network(self.result.problem, self.entry, self.terms, candidate.coefficients)
        own = self.words | {"trainable": self.words["trainable"] | dict.fromkeys(names, True)}
        try:
            fitted = fit(problem, self.result.data, **own)
            return _Refit(fitted, names, _criterion(fitted, candidate), _held_out_error(fitted, self.held_out))
        except SolveFailed:
            return _Refit(None, names, np.inf, np.inf)

    def follow(self, path: list[Sparse]) -> list[_Refit]:
        """Fits with one candidate after the other, until they get no better."""
        found: list[_Refit] = []
        least, worse = np.inf, 0
        for candidate in path:
            found.append(self.fit(candidate))
            criterion = found[-1].criterion
            worse = 0 if criterion < least else worse + (least < np.inf)
            least = min(least, criterion)
            if worse == PATIENCE:
                break
        return found

    def exchange(self, columns, outputs, path, found) -> tuple[list[Sparse], list[_Refit]]:
        """Exchanges in the best candidate, as long as they make it better; all candidates, the fitted ones first."""
        tried, fits = path[: len(found)], list(found)
        known = {one.coefficients.astype(bool).tobytes() for one in tried}
        best = int(np.argmin([one.criterion for one in fits]))
        while (chosen := fits[best].result) is not None and chosen.loss > _floor(chosen):
            for candidate in exchanges(columns, outputs, tried[best].coefficients, EXCHANGES):
                support = candidate.coefficients.astype(bool).tobytes()
                if support in known:
                    continue
                known.add(support)
                tried.append(candidate)
                fits.append(self.fit(candidate))
                if fits[-1].criterion < fits[best].criterion:
                    best = len(fits) - 1
                    break
            else:
                break
        return [*tried, *(one for one in path if one.coefficients.astype(bool).tobytes() not in known)], fits


def _criterion(fitted: FitResult, candidate: Sparse) -> float:
    """The extended Bayesian information criterion up to a constant."""
    n, k = sum(int(np.isfinite(fitted.data[name]).sum()) for name in fitted.settings["scales"]), candidate.n_terms
    paid = k * np.log(n) + 2 * np.log(comb(candidate.coefficients.size, k))
    said = fitted.settings["loss"]
    if any(f"{kind.__name__}(" in said for kind in LIKELIHOODS):
        return 2 * fitted.loss + paid
    return n * np.log(max(fitted.loss, _floor(fitted))) + paid


def _floor(fitted):
    """The loss that a solve's own error may be."""
    return (PRECISION * fitted.settings["rtol"]) ** 2


def _held_out_error(fitted: FitResult, held_out: xr.Dataset | None) -> float:
    """Root mean square error in standard deviations of the fit's data; NaN without data, inf where a solve fails."""
    if held_out is None:
        return np.nan
    names = [name for name in fitted.settings["scales"] if name in held_out]
    if not names:
        raise ProblemError(f"recover: held_out has none of {', '.join(fitted.settings['scales'])}")
    try:
        predicted = fitted.predict(held_out["time"].values)
    except SolveFailed:
        return np.inf
    assert isinstance(predicted, xr.Dataset)
    squares = [((predicted[name] - held_out[name]) / float(fitted.data[name].std())).values ** 2 for name in names]
    return float(np.sqrt(np.nanmean(np.concatenate([one.ravel() for one in squares]))))


def _read_coefficients(refit: _Refit, start: np.ndarray) -> np.ndarray:
    """The coefficients ``(output, term)`` as they were fitted, those of the regression where the fit failed."""
    values = np.array(start)
    if refit.result is not None:
        problem = refit.result.problem
        values[np.nonzero(start)] = [problem.p_values[problem.p_layout[name].start] for name in refit.names]
    return values


def _equations(entry: Entry, terms: tuple[Term, ...], coefficients: np.ndarray, names: tuple[str, ...]):
    """Text by output."""
    found = {}
    for j, row in enumerate(coefficients):
        parts = []
        for term, factor in zip(terms, row, strict=True):
            if factor:
                text = term.text(names)
                parts.append(f"{factor:.4g}" + ("" if text == "1" else f"*{text}"))
        found[f"{entry.name}[{j}]"] = " + ".join(parts).replace("+ -", "- ") or "0"
    return found


def _table(equations, path, found) -> xr.Dataset:
    """All candidates, refitted or not."""
    n = len(path)

    def column(values):
        return ("candidate", np.array([*values, *[np.nan] * (n - len(found))], dtype=float))

    texts = ["; ".join(f"{name} = {text}" for name, text in one.items()) for one in equations]
    error = [float(np.sqrt(np.mean(one.error**2))) for one in path]
    return xr.Dataset(
        {
            "equation": ("candidate", np.array(texts, dtype=object)),
            "n_terms": ("candidate", np.array([one.n_terms for one in path])),
            "error": ("candidate", np.array(error), {"long_name": "relative error against the network"}),
            "loss": column([np.inf if one.result is None else one.result.loss for one in found]),
            "criterion": column([one.criterion for one in found]),
            "held_out": column([one.held_out for one in found]),
        },
        {"candidate": np.arange(n)},
    )
