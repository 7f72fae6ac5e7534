"""The order in which members are solved side by side."""

import numpy as np
import pytest

from pysciml.engines.alike import MOST_COLUMNS, order_alike


@pytest.mark.parametrize("n", [1, 7, 64, 100, 1000])
@pytest.mark.parametrize("columns", [1, 2, 5, MOST_COLUMNS + 1])
def test_each_stands_there_once(n, columns):
    order = order_alike(np.random.default_rng(0).uniform(size=(n, columns)), 8)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_groups_are_boxes():
    p = np.random.default_rng(0).uniform(size=(1024, 2)) * [1.0, 1e6]
    groups = p[order_alike(p, 16)].reshape(64, 16, 2)
    sides = np.ptp(groups, axis=1) / [1.0, 1e6]
    assert np.median(sides[:, 0]) < 0.2 and np.median(sides[:, 1]) < 0.2


def test_what_is_equal_for_all_does_not_count():
    p = np.column_stack([np.full(20, 3.0), np.arange(20.0)[::-1]])
    np.testing.assert_array_equal(order_alike(p, 4), np.arange(20)[::-1])
    np.testing.assert_array_equal(order_alike(p[:, :1], 4), np.arange(20))
