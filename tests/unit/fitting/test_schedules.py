"""Learning rates: what they are at each step, over stages, and what can't be one."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.fitting.schedules import read_rates
from pysciml.fitting.shooting import make_stages

TIMES = np.linspace(1, 4, 8)


def test_rates_begin_and_end_where_they_should():
    for schedule in (ps.Cosine(0.1, 0.01), ps.Exponential(0.1, 0.01)):
        rates = read_rates(schedule, 50)
        assert rates.shape == (50,) and rates[0] == pytest.approx(0.1) and rates[-1] == pytest.approx(0.01)
        assert (np.diff(rates) < 0).all()
        assert read_rates(schedule, 1) == pytest.approx(0.1)
        warmed = read_rates(ps.Warmup(10, schedule), 60)
        np.testing.assert_allclose(warmed[:10], 0.01 * np.arange(1, 11))
        np.testing.assert_array_equal(warmed[10:], rates)
    np.testing.assert_allclose(read_rates(ps.Warmup(4, 0.1), 3), [0.025, 0.05, 0.075])


def test_a_growing_horizon_does_not_begin_the_rates_anew():
    mask = np.ones((8, 1), dtype=bool)
    first, last = ps.Adam(ps.Cosine(0.1), steps=43, clip=3.0), ps.AdamW(0.01, weight_decay=0.2, steps=5)
    stages = make_stages(ps.GrowingHorizon(3), [first, last], [(TIMES, mask)], [0.0])
    np.testing.assert_array_equal(np.concatenate([stage.rates for stage in stages[:3]]), read_rates(ps.Cosine(0.1), 43))
    assert [stage.clip for stage in stages] == [3.0, 3.0, 3.0, np.inf]
    assert stages[3].weight_decay == 0.2 and stages[3].learning_rate == 0.01 and stages[3].optimizer == "adam"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ps.Cosine(0.0), "Cosine: needs start > 0"),
        (lambda: ps.Cosine(0.1, -1.0), "end >= 0"),
        (lambda: ps.Exponential(0.1, 0.0), "Exponential: needs start and end > 0"),
        (lambda: ps.Warmup(0, 0.1), "Warmup: steps must be a positive integer"),
        (lambda: ps.Warmup(3, "cosine"), "Warmup: then must be a positive number, ps.Cosine"),
        (lambda: ps.Lion(-1.0), "Lion: learning_rate must be a positive number"),
        (lambda: ps.RMSProp(clip=0), "RMSProp: clip must be a positive number"),
        (lambda: ps.AdamW(weight_decay=0), "AdamW: weight_decay"),
        (lambda: ps.BFGS(steps=1.5), "BFGS: steps must be a positive integer"),
    ],
)
def test_what_can_not_be(make, words):
    with pytest.raises(ps.ProblemError, match=words):
        make()
