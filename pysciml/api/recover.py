"""recover(): what a network of a fit says, as equations."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..engines.choose import engine_readiness, load_engine
from ..errors import EngineUnavailable, ProblemError, SolveFailed, UnsupportedByEngine
from ..fitting.likelihoods import LIKELIHOODS
from ..fitting.losses import LOSSES
from ..fitting.optimizers import LBFGS, LevenbergMarquardt
from ..fitting.trainable import from_limits
from ..ir.evaluate import evaluate_program
from ..ir.program import Input, ProgramBuilder
from ..problems.times import read_times
from ..recovery.candidate import AbstractSearch, Candidate
from ..recovery.library import Library
from ..recovery.pysr import PySR, TreeSearch
from ..recovery.replacement import find_network, name_inputs, network_inputs, replace_network
from ..recovery.sparse import TermSearch, check_pysindy
from ..requests import EquationRequest
from ..tracing.layout import Entry
from .fit import fit
from .fit_result import FitResult
from .fitted import SQUARES, over_of
from .recovered import Recovered
from .solve import solve

PATIENCE = 2  # candidates in a row that are worse than the best before the search ends
ENOUGH = 500  # samples that symbolic regression looks at: its time grows with them
SEARCHES = "julia"  # the engine with symbolic regression
PRECISION = 10.0  # times the relative tolerance: what a solve's own error may be


def recover(
    result: FitResult,
    library: Library | None = None,
    *,
    network: str | None = None,
    held_out: xr.Dataset | None = None,
    most_terms: int | None = None,
    samples: int = 200,
    method: str | PySR = "pysindy",
    progress: bool = False,
    **options,
) -> Recovered:
    """Return equations for what a network of a fit learnt, fitted in its place.

    The network is evaluated along the fitted solution; sparse regression finds the few terms of a library that say the
    same, for each number of terms, or symbolic regression breeds equations that do; these take the network's place in
    the model, from the simplest on, and their constants are fitted to the data again together with whatever else was
    trained.

    Parameters
    ----------
    result : FitResult
        A fit in which a network was trained.
    library : Library, optional
        The candidate terms. None is ``Library()``: monomials to degree 3, sine and cosine of each input. Symbolic
        regression takes its functions.
    network : str, optional
        Name of the network; may be left out if there is one.
    held_out : xarray.Dataset, optional
        Data that the fit did not see, in the form of its data: each candidate's error there is reported, and decides
        nothing.
    most_terms : int, optional
        Most terms of a candidate of sparse regression, over all outputs; 4 an output where left out.
    samples : int, default 200
        Points along each experiment's solution, evenly in time (dimensionless).
    method : {"pysindy", "pysr"} or PySR, default "pysindy"
        Sparse regression by pysindy, or the symbolic regression of PySR in Julia; :class:`PySR` has its options. Either
        takes fits of any engine.
    progress : bool, default False
        Show each refit's bar.
    **options
        Those of :func:`fit` for the refits; constants are trained beside whatever is ``trainable``. Loss (of a word),
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
    EngineUnavailable
        For "pysr" where Julia isn't ready, or lacks the package SymbolicRegression; it says how to get them.
    UnsupportedByEngine
        For other methods, and where events change parameters.
    SolveFailed
        If no candidate can be solved.

    Notes
    -----
    The best candidate has the least ``n log(loss) + k log(n) + 2 log(c)``, of a likelihood ``2 loss`` in place of the
    first, with n data and k constants, of a form that can be chosen in c ways (the extended Bayesian information
    criterion: of so many choices some fit the noise); a loss below what the solves' tolerance leaves counts as that. Of
    sparse regression, k counts terms and c the ways to choose so many of the library; of symbolic regression, c is the
    square root of the number of texts of so many symbols, taken from operators, functions, inputs and one for a
    constant: so many differ about (of nine symbols 4, 12, 31 and 160 for sizes of 3 to 6). The search ends when two
    candidates in a row are worse than the best before them. A network that learnt noisy data says something else than
    they do; so the best is then changed, a term of it left out, or one or two exchanged for another (of symbolic
    regression: an output's equation for one that is simpler or closer), as long as that makes it better in the model.
    Those exchanges are tried that say best what the network does. (Each candidate compiles anew on diffrax, which takes
    seconds.)

    Symbolic regression gives of each output the trees that are better than all simpler ones. They are written as sums
    of terms, so that no constant is there twice; candidates are those of them, or of parts of them, that are best at
    some price of a symbol, in units of the logarithm of the error.

    References
    ----------
    Brunton, Proctor, Kutz (2016), Discovering governing equations from data by sparse identification of nonlinear
    dynamical systems, doi:10.1073/pnas.1517384113
    Kaptanoglu et al. (2022), PySINDy, doi:10.21105/joss.03994
    Cranmer (2023), Interpretable machine learning for science with PySR and SymbolicRegression.jl,
    doi:10.48550/arXiv.2305.01582
    Chen, Chen (2008), Extended Bayesian information criteria for model selection with large model spaces,
    doi:10.1093/biomet/asn034

    Examples
    --------
    >>> import pysciml as ps
    >>> result = ps.fit(problem, data)  # doctest: +SKIP
    >>> ps.recover(result, ps.Library(degree=2)).equations  # doctest: +SKIP
    {'net[0]': '-0.024*hare*lynx', 'net[1]': '0.023*hare*lynx'}
    """
    pysr = _check(result, library, method, samples, most_terms)
    library = library or Library()
    entry = find_network(result.problem, network)
    words = _fit_words(result, entry, options) | {"progress": progress}
    inputs, outputs = _sample(result, entry, samples)
    if pysr is None:
        terms = library.terms(entry.network.in_size)
        candidates: AbstractSearch = TermSearch(terms, inputs, outputs, most_terms or 4 * entry.network.out_size)
    else:
        candidates = _search_trees(pysr, library, inputs, outputs)
    path = candidates.path()
    if not path:
        raise ProblemError(f"recover: {entry.name!r} is zero along the fit, so there is nothing to say by equations")
    search = _Search(result, entry, candidates, words, held_out)
    found = search.exchange(search.follow(path))
    best = min(range(len(found)), key=lambda k: found[k].criterion)
    chosen = found[best].result
    if chosen is None:
        raise SolveFailed("recover: the model could not be solved with any of the candidates; see ps.Library")
    tried = {one.candidate.form for one in found}
    found += [_Refit(one, None, (), np.nan, np.nan) for one in path if one.form not in tried]
    names = name_inputs(result.problem, entry)
    return Recovered(
        equations=_equations(entry, found[best], names),
        result=chosen,
        candidates=_table(entry, found, names),
        best=best,
        samples=xr.Dataset(
            {"inputs": (("sample", "input"), inputs), "outputs": (("sample", "output"), outputs)},
            {"input": np.array(names, dtype=object)},
        ),
    )


def _check(result, library, method, samples, most_terms) -> PySR | None:
    """Refuse arguments that can't be; the method, None for pysindy."""
    if not isinstance(result, FitResult):
        raise ProblemError(f"recover: give what ps.fit returned, got {type(result).__name__}")
    if library is not None and not isinstance(library, Library):
        raise ProblemError(f"recover: library must be a ps.Library(degree=..., functions=...), got {library!r}")
    if isinstance(method, str) and method.lower() == "pysr":
        method = PySR()
    if method != "pysindy" and not isinstance(method, PySR):
        raise UnsupportedByEngine(f"recover: unknown method {method!r}; it is 'pysindy', 'pysr' or a ps.PySR(...)")
    if isinstance(method, PySR) and most_terms is not None:
        raise ProblemError("recover: most_terms is of method='pysindy'; give ps.PySR(maxsize=...)")
    for word, value in (("samples", samples), ("most_terms", most_terms)):
        is_left_out = word == "most_terms" and value is None
        if not is_left_out and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
            raise ProblemError(f"recover: {word} must be a positive integer, got {value!r}")
    changed = {name for event in result.problem.events for name in getattr(event, "changed", ())}
    if changed & set(result.problem.p_layout.names):
        raise UnsupportedByEngine("recover: events that change parameters are not supported by any engine")
    if isinstance(method, PySR):
        is_ready, why = engine_readiness(SEARCHES)
        if not is_ready:
            raise EngineUnavailable(f"recover: method='pysr' searches in Julia, which isn't ready: {why}")
        return method
    check_pysindy()
    return None


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


def _search_trees(method: PySR, library: Library, inputs: np.ndarray, outputs: np.ndarray) -> TreeSearch:
    """Symbolic regression of each output, relative to its size."""
    sizes = np.sqrt(np.mean(outputs**2, axis=0))
    few = slice(None, None, -(-len(inputs) // ENOUGH))
    request = EquationRequest(
        inputs=inputs[few],
        outputs=outputs[few] / np.where(sizes > 0, sizes, 1.0),
        operators=method.operators,
        functions=library.functions,
        iterations=method.iterations,
        maxsize=method.maxsize,
        seed=method.seed,
    )
    trees = load_engine(SEARCHES).search_equations(request)
    return TreeSearch(trees, (*method.operators, *library.functions), inputs, outputs)


@dataclass(frozen=True, eq=False)
class _Refit:
    """A candidate inside the model: its fit, None where that failed or there was none, and its constants' names."""

    candidate: Candidate
    result: FitResult | None
    names: tuple[str, ...]
    criterion: float
    held_out: float

    @property
    def loss(self) -> float:
        return self.criterion if self.result is None else self.result.loss

    @property
    def constants(self) -> list[float]:
        """As they were fitted, those of the regression where there is no fit."""
        if self.result is None:
            return [value for one in self.candidate.equations for value in one.constants]
        problem = self.result.problem
        return [problem.p_values[problem.p_layout[name].start] for name in self.names]


@dataclass(frozen=True, eq=False)
class _Search:
    """What candidates are fitted in, and how."""

    result: FitResult
    entry: Entry
    candidates: AbstractSearch
    words: dict
    held_out: xr.Dataset | None

    def fit(self, candidate: Candidate) -> _Refit:
        """A fit with one candidate."""
        problem, names = replace_network(self.result.problem, self.entry, candidate.equations)
        own = self.words | {"trainable": self.words["trainable"] | dict.fromkeys(names, True)}
        try:
            fitted = fit(problem, self.result.data, **own)
            held_out = _held_out_error(fitted, self.held_out)
            return _Refit(candidate, fitted, names, _criterion(fitted, candidate), held_out)
        except SolveFailed:
            return _Refit(candidate, None, names, np.inf, np.inf)

    def follow(self, path: list[Candidate]) -> list[_Refit]:
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

    def exchange(self, found: list[_Refit]) -> list[_Refit]:
        """The same, and what came of changes of the best one, as long as they make it better."""
        found = list(found)
        known = {one.candidate.form for one in found}
        best = min(found, key=lambda one: one.criterion)
        while best.result is not None and best.result.loss > _floor(best.result):
            for candidate in self.candidates.near(best.candidate):
                if candidate.form in known:
                    continue
                known.add(candidate.form)
                found.append(self.fit(candidate))
                if found[-1].criterion < best.criterion:
                    best = found[-1]
                    break
            else:
                break
        return found


def _criterion(fitted: FitResult, candidate: Candidate) -> float:
    """The extended Bayesian information criterion up to a constant."""
    n = sum(int(np.isfinite(fitted.data[name]).sum()) for name in fitted.settings["scales"])
    paid = candidate.n_terms * np.log(n) + 2 * candidate.log_choices
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


def _equations(entry: Entry, refit: _Refit, names: tuple[str, ...]) -> dict[str, str]:
    """Text by output."""
    constants = iter(refit.constants)
    return {f"{entry.name}[{j}]": one.text(names, constants) for j, one in enumerate(refit.candidate.equations)}


def _table(entry: Entry, found: list[_Refit], names: tuple[str, ...]) -> xr.Dataset:
    """All candidates that were tried in the model, those that could not be solved there too."""
    texts = ("; ".join(f"{name} = {text}" for name, text in _equations(entry, one, names).items()) for one in found)
    columns: dict[str, list] = {
        "equation": list(texts),
        "n_terms": [one.candidate.n_terms for one in found],
        "complexity": [one.candidate.complexity for one in found],
        "error": [float(np.sqrt(np.mean(one.candidate.error**2))) for one in found],
        "loss": [one.loss for one in found],
        "criterion": [one.criterion for one in found],
        "held_out": [one.held_out for one in found],
    }
    if found[0].candidate.complexity is None:
        del columns["complexity"]
    columns["equation"] = np.array(columns["equation"], dtype=object)
    table = xr.Dataset({name: ("candidate", values) for name, values in columns.items()})
    table.error.attrs["long_name"] = "relative error against the network"
    return table.assign_coords(candidate=np.arange(len(found)))
