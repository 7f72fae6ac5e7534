"""Solves of the embedded engine: what comes back, which method ran, how they fail, what is compiled."""

import gc
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.diffrax_engine import make_request
from support.problems import CASES

from pysciml.engines.base import Status
from pysciml.engines.diffrax import solve as solve_module
from pysciml.engines.diffrax.algorithms import METHODS
from pysciml.engines.diffrax.engine import make_engine
from pysciml.engines.diffrax.loop import make_loop
from pysciml.errors import ProblemError
from pysciml.requests import SolveRequest

ENGINE = make_engine()


def decay(t, u, p):
    return {"x": -p.k * u.x}


def circle(t, u, p):
    return [u[1], -u[0]]


def decay_request(algorithm="Tsit5", k=1.0, x=1.0, span=(0, 2), **options):
    return make_request(decay, {"x": x}, span, {"k": k}, algorithm, **options)


@pytest.mark.parametrize("word", METHODS)
def test_every_method_solves_an_oscillation(word):
    """Errors fall with the tolerance (with the step), and reach what the method promises."""
    errors = []
    for tolerance, dt in ((1e-3, 0.02), (1e-5, 0.002)):
        options = {} if METHODS[word].is_adaptive else {"dt": dt}
        request = make_request(
            circle,
            np.array([0.0, 1.0]),
            (0, 3),
            None,
            word,
            saveat=np.array([1.0, 3.0]),
            rtol=tolerance,
            atol=tolerance,
            **options,
        )
        solution = ENGINE.solve(request)
        assert solution.status == (Status.SUCCESS,) and solution.algorithm == word
        errors.append(np.max(np.abs(solution.u[0, :, 0] - np.sin([1.0, 3.0]))))
    assert errors[0] < 0.1
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize(("word", "order"), [("Euler", 1)])
def test_fixed_steps_show_the_order(word, order):
    ends = [ENGINE.solve(decay_request(word, dt=dt, saveat=np.array([2.0]))).u[0, -1, 0] for dt in (0.02, 0.01)]
    errors = np.abs(np.array(ends) - np.exp(-2.0))
    np.testing.assert_allclose(np.log2(errors[0] / errors[1]), order, atol=0.05)
    np.testing.assert_allclose(ends[1], (1 - 0.01) ** 200, rtol=1e-12)  # exactly 200 steps


def test_method_without_step_control_asks_for_a_step():
    with pytest.raises(ProblemError, match="'Euler' has no step size control: give its step as dt="):
        ENGINE.solve(decay_request("Euler"))


def test_rows_are_at_the_times_asked_for():
    saveat = np.array([0.0, 0.1, 1 / 3, 1.9999, 2.0])
    solution = ENGINE.solve(decay_request(saveat=saveat, rtol=1e-9, atol=1e-12))
    np.testing.assert_array_equal(solution.t, saveat)
    assert solution.u.shape == (1, 5, 1)
    np.testing.assert_allclose(solution.u[0, :, 0], np.exp(-saveat), rtol=1e-8)
    assert solution.u[0, 0, 0] == 1.0
    assert solution.statistics["steps"] > 3
    tried = solution.statistics["steps"] + solution.statistics["rejected"]
    assert solution.statistics["function_evaluations"] == 2 + 6 * tried
    assert set(solution.versions) == {"jax", "jaxlib", "diffrax", "optax"}


def test_own_steps_include_both_ends():
    solution = ENGINE.solve(decay_request(span=(0, 30)))
    assert solution.t[0] == 0.0 and solution.t[-1] == 30.0
    assert np.all(np.diff(solution.t) > 0)
    assert len(solution.t) == solution.statistics["steps"] + 1
    np.testing.assert_allclose(solution.u[0, :, 0], np.exp(-solution.t), atol=1e-5)


def test_more_own_steps_than_a_chunk_holds(monkeypatch):
    monkeypatch.setattr(solve_module, "MOST_ROWS", 16)
    request = make_request(circle, np.array([0.0, 1.0]), (0, 100), None, "Tsit5", rtol=1e-9, atol=1e-9)
    solution = ENGINE.solve(request)
    assert len(solution.t) > 500 and np.all(np.diff(solution.t) > 0)
    np.testing.assert_allclose(solution.u[0, :, 0], np.sin(solution.t), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("logistic", "harmonic", "brusselator")])
def test_auto_tells_stiff_from_non_stiff(name):
    case = CASES[name]
    problem = case.problem()
    request = SolveRequest(
        problem.program,
        problem.u0_values,
        problem.p_values,
        problem.span,
        atol=case.atol,
        saveat=np.asarray(case.saveat, float),
    )
    solution = ENGINE.solve(request)
    assert solution.status == (Status.SUCCESS,)
    assert solution.algorithm == ("Kvaerno5" if case.stiff else "DP8")
    assert ("auto: stiff" in solution.reason) == case.stiff
    assert solution.statistics["steps"] < 1500


def test_auto_takes_the_cheaper_method_for_loose_tolerances():
    request = make_request(circle, np.array([0.0, 1.0]), (0, 3), rtol=1e-3, atol=1e-5, saveat=np.array([3.0]))
    assert ENGINE.solve(request).algorithm == "Tsit5"


def test_stiff_but_short_stays_explicit():
    """Where the whole span is a few explicit steps, an implicit method isn't worth its matrices."""
    request = decay_request("auto", k=1000.0, span=(0, 0.5), saveat=np.array([0.5]))
    assert ENGINE.solve(request).algorithm == "DP8"
    assert ENGINE.solve(decay_request("auto", k=1000.0, span=(0, 50), saveat=np.array([50.0]))).algorithm == "Kvaerno5"


@pytest.mark.parametrize("word", ["Tsit5", "DP8", "BS3", "Heun", "Kvaerno5", "auto"])
@pytest.mark.parametrize(
    ("model", "u0", "exact"),
    [
        (lambda t, u, p: {"x": -np.sqrt(u.x)}, 1.0, lambda t: (1 - t / 2) ** 2),
        (lambda t, u, p: {"x": u.x * np.log(u.x)}, 0.3, lambda t: 0.3 ** np.exp(t)),
    ],
    ids=["sqrt", "log"],
)
def test_trial_steps_that_leave_the_domain_are_only_rejected(word, model, u0, exact):
    saveat = np.array([0.5, 1.5, 1.9])
    request = make_request(model, {"x": u0}, (0, 1.9), None, word, saveat=saveat, dt=1.9)
    solution = ENGINE.solve(request)
    assert solution.status == (Status.SUCCESS,)
    assert solution.statistics["rejected"] > 0
    np.testing.assert_allclose(solution.u[0, :, 0], exact(saveat), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("word", ["Tsit5", "DP8", "Kvaerno5", "auto"])
def test_blow_up_ends_with_the_rows_reached(word):
    saveat = np.array([0.0, 0.5, 0.9, 1.1, 2.0])
    solution = ENGINE.solve(make_request(lambda t, u, p: {"x": u.x**2}, {"x": 1.0}, (0, 2), None, word, saveat=saveat))
    assert solution.status[0] in (Status.STEP_TOO_SMALL, Status.UNSTABLE, Status.NOT_CONVERGED)
    assert solution.message
    np.testing.assert_array_equal(solution.t, saveat[:3])
    np.testing.assert_allclose(solution.u[0, :, 0], 1 / (1 - saveat[:3]), rtol=1e-4)


def test_leaving_the_domain_for_good_is_unstable():
    solution = ENGINE.solve(
        make_request(lambda t, u, p: {"x": -1.0 - 0 * np.log(u.x)}, {"x": 1.0}, (0, 2), None, "Tsit5")
    )
    assert solution.status == (Status.UNSTABLE,)
    np.testing.assert_allclose(solution.t[-1], 1.0, atol=1e-6)


def test_right_hand_side_that_is_nan_at_the_start():
    solution = ENGINE.solve(
        make_request(lambda t, u, p: {"x": np.log(u.x)}, {"x": -1.0}, (0, 2), saveat=np.array([0.0, 1.0]))
    )
    assert solution.status == (Status.UNSTABLE,)
    np.testing.assert_array_equal(solution.t, [0.0])
    np.testing.assert_array_equal(solution.u, [[[-1.0]]])


def test_too_many_steps():
    request = make_request(circle, np.array([0.0, 1.0]), (0, 1000), None, "Tsit5", max_steps=100)
    solution = ENGINE.solve(request)
    assert solution.status == (Status.MAX_STEPS,)
    assert solution.statistics["steps"] + solution.statistics["rejected"] == 100
    assert 1 < solution.t[-1] < 100
    np.testing.assert_allclose(solution.u[0, :, 0], np.sin(solution.t), atol=1e-3)


def test_fixed_steps_that_overflow_are_unstable():
    solution = ENGINE.solve(decay_request("Euler", k=1e6, span=(0, 200), dt=1.0))
    assert solution.status == (Status.UNSTABLE,)
    assert np.isfinite(solution.u).all()


def pulse(t, u, p):
    return {"x": np.where((t > 5) & (t < 5.01), 100.0, 0.0)}


def test_stops_and_longest_step_find_a_short_pulse():
    def end(**options):
        return ENGINE.solve(make_request(pulse, {"x": 0.0}, (0, 10), None, "Tsit5", **options)).u[0, -1, 0]

    assert end() == 0.0  # stepped over: the docs warn of it
    np.testing.assert_allclose(end(tstops=np.array([5.01, 5.0])), 1.0, rtol=1e-9)
    np.testing.assert_allclose(end(dtmax=0.004), 1.0, rtol=0.01)
    np.testing.assert_allclose(end(tstops=np.array([-3.0, 0.0, 5.0, 5.01, 10.0, 12.0])), 1.0, rtol=1e-9)


def test_longest_and_first_step_are_kept():
    solution = ENGINE.solve(decay_request(span=(0, 4), dtmax=0.125, dt=0.01))
    assert np.max(np.diff(solution.t)) <= 0.125 + 1e-12
    np.testing.assert_allclose(solution.t[1], 0.01, rtol=1e-12)


def test_stop_times_are_steps_of_fixed_methods_too():
    solution = ENGINE.solve(decay_request("Euler", dt=0.3, tstops=np.array([1.0])))
    assert np.min(np.abs(solution.t - 1.0)) < 1e-12


def test_other_values_compile_nothing():
    saveat = np.linspace(0.5, 2, 20)
    ENGINE.solve(decay_request(saveat=saveat, tstops=np.array([1.0])))
    problem = decay_request(saveat=saveat)
    loop = make_loop(problem.program, "Tsit5", 32, True, 4, ())
    before = make_loop.cache_info().misses, loop.start._cache_size(), loop.advance._cache_size()
    for request in (
        decay_request(k=3.0, x=-2.0, span=(0.25, 4), saveat=saveat + 1, tstops=np.array([1.0, 2.0, 3.0])),
        decay_request(saveat=np.linspace(0.1, 2, 31), rtol=1e-3, atol=1e-3, max_steps=50, tstops=np.array([1.5])),
        decay_request(saveat=saveat, dt=0.1, dtmax=0.5, tstops=np.array([1.5])),
    ):
        assert ENGINE.solve(request).status == (Status.SUCCESS,)
    assert before == (make_loop.cache_info().misses, loop.start._cache_size(), loop.advance._cache_size())
    assert before[1:] == (1, 1)


def test_callers_settings_stay():
    ENGINE.solve(decay_request())
    assert jnp.zeros(1).dtype == jnp.float32
    assert not jax.config.jax_enable_x64


def test_ctrl_c_gives_the_partial_solution():
    """A signal in the middle of a solve of millions of steps."""
    saveat = np.arange(0.0, 1e6, 1e2)

    def request(**options):
        return make_request(
            circle, np.array([0.0, 1.0]), (0, 1e6), None, "Tsit5", saveat=saveat, rtol=1e-9, atol=1e-9, **options
        )

    ENGINE.solve(request(max_steps=1000))  # compiled
    timer = threading.Timer(0.4, signal.raise_signal, (signal.SIGINT,))
    gc.disable()  # a callback of the collector, as hypothesis has one, would lose the interrupt
    try:
        timer.start()
        solution = ENGINE.solve(request(max_steps=10**9))
    finally:
        gc.enable()
    timer.join()
    assert solution.status == (Status.INTERRUPTED,)
    assert 1 < len(solution.t) < len(saveat)
    np.testing.assert_array_equal(solution.t, saveat[: len(solution.t)])
    np.testing.assert_allclose(solution.u[0, :20, 0], np.sin(saveat[:20]), atol=1e-3)


def test_interrupt_keeps_the_finished_chunks(monkeypatch):
    calls = []

    def interrupted(steps, seconds):
        calls.append(steps)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 16

    monkeypatch.setattr(solve_module, "next_chunk", interrupted)
    solution = ENGINE.solve(make_request(circle, np.array([0.0, 1.0]), (0, 1000), None, "Tsit5"))
    assert solution.status == (Status.INTERRUPTED,)
    assert solution.statistics["steps"] + solution.statistics["rejected"] == 48
    assert len(solution.t) == solution.statistics["steps"] + 1


def test_progress_is_shown_only_if_wanted(capsys):
    ENGINE.solve(decay_request())
    assert capsys.readouterr().err == ""
    ENGINE.solve(decay_request(progress=True))
    assert "solve" in capsys.readouterr().err
