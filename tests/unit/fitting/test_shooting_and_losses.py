"""Loss words, optimizer words and horizons."""

import numpy as np
import pytest

from pysciml.errors import ProblemError
from pysciml.fitting.losses import Comparison, loss_scales, read_loss
from pysciml.fitting.observations import Observations
from pysciml.fitting.optimizers import LBFGS, Adam, read_optimizers
from pysciml.fitting.segments import cut
from pysciml.fitting.shooting import make_stages
from pysciml.fitting.strategies import Collocation, GrowingHorizon, MultipleShooting, MultiStart, read_strategy
from pysciml.tracing.layout import make_layout

VALUES = np.array([[1.0, 2.0, 2.0, np.nan], [np.nan, 2.0, 4.0, np.nan], [3.0, 6.0, 2.0, np.nan]])
SEEN = Observations(np.array([0.0, 1.0, 2.0]), VALUES)
FIELDS = [("x", slice(0, 1)), ("y", slice(1, 3)), ("z", slice(3, 4))]


@pytest.mark.parametrize(("loss", "scales"), [("mse", [1, 1]), ("nmse", [1, np.std([2, 2, 2, 4, 6, 2])])])
def test_weighted_sum_is_the_mean_over_finite_values(loss, scales):
    layouts = (make_layout("array", {"u": ((4,), None, True)}), make_layout("none", {}))
    comparison = Comparison(read_loss(loss, ["x", "y"]), None, FIELDS, {"x": (), "y": (2,)}, layouts, [SEEN])
    assert list(comparison.scales) == ["x", "y"]
    found = comparison.compare(SEEN, None, {})
    prediction = np.random.default_rng(1).standard_normal(VALUES.shape)
    residuals = (prediction - VALUES) / np.array([scales[0], scales[1], scales[1], 1])
    got = np.sum(found.weights * (prediction - found.values) ** 2)
    assert got == pytest.approx(np.nanmean(residuals**2), rel=1e-14)


def test_constant_data_are_divided_by_their_size():
    seen = Observations(np.array([0.0, 1.0]), np.array([[5.0, 0, 0, np.nan]] * 2))
    assert loss_scales(read_loss("nmse", ["x", "y"]), [seen], FIELDS) == {"x": 5.0, "y": 1.0}


def test_optimizers():
    assert read_optimizers(None) == (Adam(), LBFGS())
    assert read_optimizers(["adam", LBFGS(steps=3)]) == (Adam(), LBFGS(steps=3))
    assert read_optimizers(Adam(1e-3, steps=7)) == (Adam(learning_rate=1e-3, steps=7),)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: read_optimizers("adma"), "did you mean 'Adam'"),
        (lambda: read_optimizers([]), "list is empty"),
        (lambda: Adam(0.0), "learning_rate must be a positive number"),
        (lambda: Adam(steps=0), "steps must be a positive integer"),
        (lambda: LBFGS(steps=1.5), "steps must be a positive integer"),
        (lambda: GrowingHorizon(stages=0), "stages must be a positive integer"),
        (lambda: read_strategy("fast"), "strategy"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


def test_strategies_are_warm_starts_and_a_horizon():
    warm = (MultiStart(starts=3), Collocation(), MultipleShooting())
    assert read_strategy("auto") == ((), GrowingHorizon())
    assert read_strategy(()) == ((), GrowingHorizon(stages=1))
    assert read_strategy(list(warm)) == (warm, GrowingHorizon(stages=1))
    assert read_strategy([*warm, GrowingHorizon(2)]) == (warm, GrowingHorizon(2))
    with pytest.raises(ProblemError, match="once, at the end"):
        read_strategy([GrowingHorizon(), Collocation()])
    with pytest.raises(ProblemError, match="did you mean 'Collocation'"):
        read_strategy(["Colocation"])


def test_segments_overlap_by_their_ends():
    assert cut(7, 3) == [(0, 3, False), (3, 6, True)]
    assert cut(8, 3) == [(0, 3, False), (3, 6, False), (6, 7, True)]
    assert cut(3, 5) == [(0, 2, True)]


def test_horizons_grow_to_the_whole_span():
    times = np.arange(1900.0, 1917.0)
    mask = np.ones((17, 2), dtype=bool)
    mask[16, 1] = False
    stages = make_stages(GrowingHorizon(4), (Adam(steps=10), LBFGS(steps=5)), [(times, mask)], [1900.0])
    assert [s.horizon for s in stages] == [1904, 1908, 1912, 1916, 1916]
    assert [s.steps for s in stages] == [2, 2, 2, 4, 5]
    assert [s.rows for s in stages] == [(5,), (9,), (13,), (17,), (17,)]
    assert [s.optimizer for s in stages] == ["adam"] * 4 + ["lbfgs"]
    assert stages[0].factor == pytest.approx(33 / 10) and stages[-1].factor == 1.0


def test_horizons_without_data_are_passed_over():
    times = np.array([0.0, 9.0, 10.0])
    stages = make_stages(GrowingHorizon(4), (Adam(steps=8),), [(times, np.ones((3, 1), dtype=bool))], [0.0])
    assert [s.rows for s in stages] == [(3,)]
    single = make_stages(read_strategy(())[1], (Adam(steps=8),), [(times, np.ones((3, 1), dtype=bool))], [0.0])
    assert [s.rows for s in single] == [(3,)]
