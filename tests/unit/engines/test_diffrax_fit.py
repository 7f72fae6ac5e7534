"""Fits of the embedded engine: descent, stages, rejected steps, history, interruption."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from support.diffrax_engine import make_objective_request, make_request

from pysciml.engines.base import Status
from pysciml.engines.diffrax import fit as fit_module
from pysciml.engines.diffrax.descent import FirstOrder, Point, lbfgs, line_search
from pysciml.engines.diffrax.engine import make_engine
from pysciml.requests import FitRequest, Stage

ENGINE = make_engine()
TIMES = np.linspace(0.25, 2, 8)


def rosenbrock(x):
    """Minimum 0 at (1, 1); NaN beyond x1 = 1.5, as where a solve fails."""
    value = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    gradient = np.array([-2 * (1 - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)])
    return Point(x, value, gradient) if x[0] < 1.5 else Point(x, np.nan, np.full(2, np.nan))


def test_lbfgs_finds_the_minimum_of_a_curved_valley():
    values = [point.value for point in islice(lbfgs(rosenbrock, rosenbrock(np.array([-1.2, 1.0]))), 60)]
    assert min(values) < 1e-18
    assert np.all(np.diff(values) <= 0)


def test_lbfgs_ends_where_nothing_is_lower():
    points = list(lbfgs(rosenbrock, rosenbrock(np.array([1.0, 1.0]))))
    assert points == []


def test_line_search_steps_back_from_failed_solves():
    here = rosenbrock(np.array([1.4, 1.0]))
    point = line_search(rosenbrock, here, np.array([1.0, 0.0]), 1.0)
    assert point is None  # uphill
    here = rosenbrock(np.array([0.5, 2.0]))
    assert not rosenbrock(here.x + [4.0, 0.0]).is_finite
    point = line_search(rosenbrock, here, np.array([4.0, 0.0]), 1.0)
    assert point.is_finite and point.value < here.value


def test_adam_goes_back_to_the_best_with_half_the_rate():
    visited = []

    def cliff(x):
        """Falls towards x = 1, and there is no solution beyond."""
        visited.append(float(x[0]))
        return Point(x, -x[0], np.array([-1.0])) if x[0] < 1 else Point(x, np.nan, np.array([np.nan]))

    adam = FirstOrder(Stage("adam", 40, 0.4, (1,), 1.0, 1.0), cliff(np.array([0.0])))
    points = [adam.step(cliff) for _ in range(40)]
    failed = [i for i, point in enumerate(points) if not point.is_finite]
    assert len(failed) > 2
    first = failed[0]
    best = max(x for x in visited[: first + 1] if x < 1)
    assert visited[first + 2] == pytest.approx(best + 0.2, rel=1e-3)  # from the best, with half the step
    assert 0.99 < max(x for x in visited if x < 1) < 1


def test_weights_decay_and_long_gradients_are_shortened():
    def flat(x):
        return Point(x, 0.0, np.zeros(2))

    stage = Stage("adam", 2, (0.1, 0.2), (1,), 1.0, 1.0, weight_decay=0.5)
    request = FitRequest(decay_request(()).objective, (stage,), decayed=np.array([True, False]))
    adam = FirstOrder(stage, flat(np.array([3.0, 3.0])), decay=request.decay_of(stage))
    np.testing.assert_allclose([adam.step(flat).x for _ in range(2)], [[3 * 0.95, 3], [3 * 0.95 * 0.9, 3]])

    def steep(x):
        return Point(x, float(3 * x[0] + 4 * x[1]), np.array([3.0, 4.0]))

    first = FirstOrder(replace(stage, optimizer="rmsprop", clip=1e-8), steep(np.ones(2))).step(steep).x
    root = np.sqrt(0.1)  # of the mean of squares after one step, the gradient being (0.6, 0.8) times 1e-8
    np.testing.assert_allclose(1 - first, 0.1 * np.array([0.6 / (0.6 * root + 1), 0.8 / (0.8 * root + 1)]), rtol=1e-6)


def decay(t, u, p):
    return {"x": -p.k * u.x, "y": p.r * u.y}


def decay_request(stages, start=(0.3, 0.3), **options):
    """Data of k = 1.2, r = 0.4."""
    solve = make_request(decay, {"x": 2.0, "y": 1.0}, (0, 2), {"k": start[0], "r": start[1]}, saveat=TIMES, **options)
    values = np.stack([2 * np.exp(-1.2 * TIMES), np.exp(0.4 * TIMES)], axis=1)
    weights = np.full_like(values, 1 / values.size)
    return FitRequest(make_objective_request(solve, values, weights), tuple(stages))


ADAM = Stage("adam", 60, 0.05, (8,), 1.0, 2.0)
LBFGS = Stage("lbfgs", 30, 1.0, (8,), 1.0, 2.0)


def test_adam_then_lbfgs_find_the_parameters():
    stages = (Stage("adam", 25, 0.05, (3,), 8 / 3, 0.75), ADAM, LBFGS)
    reports = []
    fit = ENGINE.fit(decay_request(stages), reports.append)
    assert fit.status is Status.SUCCESS
    np.testing.assert_allclose(fit.x, [1.2, 0.4], rtol=1e-4)
    assert fit.value < 1e-9
    assert (fit.algorithm, fit.sensitivity) == ("DP8", "forward") and "stiff" in fit.reason
    columns = "loss gradient_norm horizon seconds rejected status validation_loss".split()
    assert list(fit.history) == columns
    assert not fit.history["rejected"].any() and not fit.history["status"].any()
    n = len(fit.history["loss"])
    assert 25 + 60 < n <= 25 + 60 + 30 and all(len(column) == n for column in fit.history.values())
    np.testing.assert_array_equal(fit.history["horizon"], [0.75] * 25 + [2.0] * (n - 25))
    assert np.all(np.diff(fit.history["seconds"]) >= 0)
    assert np.nanmin(fit.history["loss"][25:]) == pytest.approx(fit.value)
    assert reports and reports[-1].total == 115 and reports[-1].horizon == 2.0
    assert [r.iteration for r in reports] == sorted({r.iteration for r in reports})


def test_same_request_gives_the_same_bits():
    first, second = (ENGINE.fit(decay_request((ADAM, LBFGS))) for _ in range(2))
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.history["loss"], second.history["loss"])


def test_stage_uses_its_rows_only():
    """Nonsense beyond the first three rows does not matter, nor is it reached."""
    request = decay_request((Stage("lbfgs", 30, 1.0, (3,), 1.0, 0.75),))
    request.objective.parts[0].values[3:] = 1e6
    fit = ENGINE.fit(request)
    np.testing.assert_allclose(fit.x, [1.2, 0.4], rtol=1e-3)


def test_steps_into_failure_are_rejected():
    """du = a u^2 is infinite at 1 / a; the data pull a up to the edge of what can be solved to t = 2."""
    solve = make_request(
        lambda t, u, p: {"x": p.a * u.x**2}, {"x": 1.0}, (0, 2), {"a": 0.1}, "Tsit5", saveat=np.array([1.0, 2.0])
    )
    objective = make_objective_request(solve, np.full((2, 1), 50.0), np.array([[1e-4], [0.0]]))
    fit = ENGINE.fit(FitRequest(objective, (Stage("adam", 30, 0.3, (2,), 1.0, 2.0),)))
    losses = fit.history["loss"]
    assert fit.status is Status.SUCCESS
    assert np.isnan(losses).any() and np.isfinite(losses).any()
    np.testing.assert_array_equal(np.isnan(losses), np.isnan(fit.history["gradient_norm"]))
    np.testing.assert_array_equal(np.isnan(losses), fit.history["rejected"] == 1)
    np.testing.assert_array_equal(np.isnan(losses), fit.history["status"] != Status.SUCCESS.code)
    assert 0.1 < fit.x[0] < 0.501 and fit.value == np.nanmin(losses)


def test_start_that_can_not_be_solved():
    solve = make_request(lambda t, u, p: {"x": p.a * u.x**2}, {"x": 1.0}, (0, 2), {"a": 5.0}, saveat=np.array([2.0]))
    request = FitRequest(make_objective_request(solve, np.zeros((1, 1))), (Stage("adam", 5, 0.1, (1,), 1.0, 2.0),))
    fit = ENGINE.fit(request)
    assert fit.status is Status.FAILED and "start of stage 1" in fit.message
    assert np.isnan(fit.value) and fit.x[0] == 5.0 and len(fit.history["loss"]) == 0


def test_interrupt_gives_the_best_so_far():
    def stop(report):
        if report.iteration >= 10:
            raise KeyboardInterrupt

    fit_module_seconds, fit_module.REPORT_SECONDS = fit_module.REPORT_SECONDS, 0.0
    try:
        fit = ENGINE.fit(decay_request((ADAM, LBFGS)), stop)
    finally:
        fit_module.REPORT_SECONDS = fit_module_seconds
    assert fit.status is Status.INTERRUPTED
    assert len(fit.history["loss"]) == 10
    assert fit.value == np.min(fit.history["loss"]) and np.isfinite(fit.x).all()


def test_reports_are_not_more_than_ten_a_second():
    reports = []
    fit = ENGINE.fit(decay_request((ADAM,)), reports.append)
    assert len(reports) <= 2 + fit.history["seconds"][-1] / fit_module.REPORT_SECONDS
    assert reports[-1].iteration == 60


def test_auto_looks_again(monkeypatch):
    """A rate that grows until the problem is stiff: the method changes on the way, and the reason says where."""
    monkeypatch.setattr(fit_module, "LOOK_AGAIN", 20)
    saveat = np.array([1.0, 20.0])

    def model(t, u, p):
        return {"x": -1000 * p.k * (u.x - np.cos(t))}

    solve = make_request(model, {"x": 1.0}, (0, 20), {"k": 0.002}, saveat=saveat)
    values = np.cos(saveat)[:, None]
    fit = ENGINE.fit(FitRequest(make_objective_request(solve, values), (Stage("adam", 60, 1.0, (2,), 1.0, 20.0),)))
    assert fit.x[0] > 0.1
    assert fit.algorithm == "Kvaerno5"
    assert "not stiff" in fit.reason and "auto: stiff" in fit.reason and "from iteration" in fit.reason
