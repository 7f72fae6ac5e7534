import copy
import pickle

import numpy as np
import pytest
import xarray as xr

from pysciml.errors import ProblemError
from pysciml.ir.evaluate import evaluate_program
from pysciml.networks import MLP
from pysciml.problems.ode import ODEProblem


def lotka_volterra(t, u, p):
    return {
        "hare": p.birth * u.hare - p.kill * u.hare * u.lynx,
        "lynx": p.grow * u.hare * u.lynx - p.death * u.lynx,
    }


U0 = {"hare": 30.0, "lynx": 4.0}
P = {"birth": 0.5, "kill": 0.03, "grow": 0.02, "death": 0.8}


@pytest.fixture
def problem():
    return ODEProblem(lotka_volterra, U0, (1900, 1920), P, units={"hare": "thousand", "time": "years"}, name="pelts")


def with_network(**options):
    return ODEProblem(
        lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 1.0}, (0, 1), {"net": MLP(1, 1, width=3, depth=1, **options)}
    )


def test_what_it_holds(problem):
    assert problem.u_layout.names == ("hare", "lynx") and problem.p_layout.names == ("birth", "kill", "grow", "death")
    np.testing.assert_array_equal(problem.u0_values, [30, 4])
    np.testing.assert_array_equal(problem.p_values, [0.5, 0.03, 0.02, 0.8])
    assert problem.span == (1900.0, 1920.0) and problem.t_span == (1900, 1920) and problem.calendar is None
    assert dict(problem.dims) == dict.fromkeys([*U0, *P], ())
    assert dict(problem.units) == {"hare": "thousand", "time": "year"}
    du = evaluate_program(problem.program, 0.0, problem.u0_values, problem.p_values)[0]
    np.testing.assert_allclose(du, [0.5 * 30 - 0.03 * 120, 0.02 * 120 - 0.8 * 4], rtol=1e-15)


def test_the_program_is_short(problem):
    """The simplified Program has nothing left over: equal products are one node."""
    assert sum(node.op == "mul" for node in problem.program.nodes) <= 6


def test_records(problem):
    assert problem.u0.hare == 30.0 and problem.p["kill"] == 0.03
    hare, lynx = problem.u0
    assert (hare, lynx) == (30.0, 4.0)
    with pytest.raises(ValueError, match="read-only"):
        problem.p.kill = 1.0
    assert ODEProblem(lambda t, u, p: -u, 2, (0, 1)).u0 == 2.0
    assert ODEProblem(lambda t, u, p: -u, [1, 2], (0, 1)).u0.tolist() == [1.0, 2.0]
    assert ODEProblem(lambda t, u, p: -u, 2, (0, 1)).p is None


def test_networks_can_be_called():
    x = np.linspace(0, 1, 5)[:, None]
    assert with_network().p.net(x).shape == (5, 1)
    assert with_network().p.net(x).tobytes() == with_network().p.net(x).tobytes()
    assert with_network(seed=1).p.net(x).tobytes() != with_network().p.net(x).tobytes()


def test_it_is_frozen(problem):
    with pytest.raises(AttributeError):
        problem.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        problem.u0_values[0] = 1.0
    with pytest.raises(TypeError):
        problem.units["hare"] = "kg"


def test_the_function_is_not_kept():
    class Model:
        def __call__(self, t, u, p):
            return -u

        def __reduce__(self):
            raise AssertionError("pickled")

    problem = ODEProblem(Model(), 1.0, (0, 1))
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert not any(isinstance(value, Model) for value in vars(problem).values())


def test_pickle_and_copy(problem):
    for again in (pickle.loads(pickle.dumps(problem)), copy.deepcopy(problem), copy.copy(problem)):
        assert again == problem and hash(again) == hash(problem)
        assert not again.u0_values.flags.writeable
        with pytest.raises(TypeError):
            again.units["hare"] = "kg"
    dated = ODEProblem(lambda t, u, p: -u, 1.0, ("2020-01-01", "2020-01-02"), units={"time": "h"})
    assert pickle.loads(pickle.dumps(dated)) == dated


def test_equality_is_by_program_and_arrays(problem):
    same = ODEProblem(lambda t, u, p: lotka_volterra(t, u, p), U0, (1900, 1920), P, units=problem.units, name="pelts")
    assert same == problem and hash(same) == hash(problem) and len({same, problem}) == 1
    others = [
        problem.remake(p={"birth": 0.6}),
        problem.remake(u0={"hare": 31.0}),
        problem.remake(t_span=(1900, 1921)),
        problem.remake(units={"hare": "million"}),
        problem.remake(name="other"),
        ODEProblem(lambda t, u, p: {"hare": u.hare, "lynx": u.lynx}, U0, (1900, 1920), P),
    ]
    assert all(other != problem for other in others)
    assert problem != "problem"


def test_remake_merges_by_name(problem):
    other = problem.remake(u0={"lynx": 5}, p={"kill": 0.04, "birth": 1}, t_span=(1900, 1910), name="other")
    assert other.program is problem.program
    np.testing.assert_array_equal(other.u0_values, [30, 5])
    np.testing.assert_array_equal(other.p_values, [1, 0.04, 0.02, 0.8])
    assert other.span == (1900.0, 1910.0) and other.name == "other" and other.units == problem.units
    np.testing.assert_array_equal(problem.u0_values, [30, 4])
    assert problem.remake() == problem
    assert problem.remake(u0=problem.u0, p=problem.p) == problem


def test_remake_of_bare_forms():
    array = ODEProblem(lambda t, u, p: -p * u, [1.0, 2.0], (0, 1), 3.0)
    assert array.remake(u0=[3, 4], p=5).u0_values.tolist() == [3.0, 4.0]
    assert array.remake(u0={"u": [3, 4]}).u0_values.tolist() == [3.0, 4.0]
    assert array.remake(p=5).p_values.tolist() == [5.0]


def test_remake_of_a_network():
    problem = with_network()
    weights = np.arange(10.0)
    assert problem.remake(p={"net": weights}).p_values.tolist() == weights.tolist()
    redrawn = problem.remake(p={"net": MLP(1, 1, width=3, depth=1, seed=9)})
    assert redrawn == with_network(seed=9)
    assert problem.remake(p={"net": redrawn.p.net}) == redrawn
    for wrong, message in (
        (MLP(1, 1, width=4, depth=1), "is another network"),
        (np.zeros(9), r"shape \(9,\), expected \(10,\)"),
    ):
        with pytest.raises(ProblemError, match=message):
            problem.remake(p={"net": wrong})


def test_an_integer_stays_a_setting_until_it_is_none():
    problem = ODEProblem(lambda t, u, p: {"x": -p.n * u.x}, {"x": 1.0}, (0, 1), {"n": 2})
    assert not problem.p_layout["n"].is_float
    assert not problem.remake(p={"n": np.array(3.0)}).p_layout["n"].is_float
    assert problem.remake(p={"n": 2.5}).p_layout["n"].is_float
    assert problem.remake(p={"n": 2.5}).p.n == 2.5


X = xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0.0, 1.0]}, attrs={"units": "K"})


def test_remake_with_labels():
    problem = ODEProblem(lambda t, u, p: {"c": -p.d * u.c}, {"c": X}, (0, 1), {"d": 1.0}, units={"d": "1/s"})
    other = problem.remake(units={"c": "degC", "time": "h"})
    assert dict(other.units) == {"c": "degC", "time": "h"} and other.dims == problem.dims
    assert other.coords["x"].equals(problem.coords["x"])
    assert dict(problem.remake(dims={"c": "z"}).dims) == {"c": ("z",), "d": ()}
    assert problem.remake(coords={"x": [5.0, 6.0]}).coords["x"].values.tolist() == [5.0, 6.0]
    assert problem.remake(u0={"c": 2 * X}).u0_values.tolist() == [2.0, 4.0]
    for wrong, message in (
        (X.assign_coords(x=[0.0, 2.0]), "another coordinate 'x'"),
        (X.rename(x="z"), r"has dims \('z',\), expected \('x',\)"),
        (X.assign_attrs(units="degC"), "is in 'degC', expected 'K'"),
    ):
        with pytest.raises(ProblemError, match=message):
            problem.remake(u0={"c": wrong})


def test_remake_takes_any_order_of_dims():
    field = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("x", "y"))
    problem = ODEProblem(lambda t, u, p: -u, field, (0, 1))
    np.testing.assert_array_equal(problem.remake(u0=field.transpose()).u0_values, problem.u0_values)


def test_times(problem):
    assert problem.is_inside([1899, 1900, 1920, 1921]).tolist() == [False, True, True, False]
    assert problem.extend_to([1910.0]) is problem
    assert problem.extend_to([1910.0, 1930.0]).span == (1900.0, 1930.0)
    dated = ODEProblem(lambda t, u, p: -u, 1.0, ("2020-01-01", "2020-01-02"), units={"time": "day"})
    longer = dated.extend_to(np.array(["2020-01-05"], "datetime64[ns]"))
    assert longer.span == (0.0, 4.0) and longer.calendar.epoch == dated.calendar.epoch


def test_repr(problem):
    text = repr(problem)
    for part in ("ODEProblem 'pelts'", "1900 to 1920 year", "hare  30  thousand", "birth  0.5"):
        assert part in text
    assert "hare' = birth * hare - kill * hare * lynx" in text and "lynx' = grow * hare * lynx - death * lynx" in text
    assert "MLP 1 -> 1, width 3, depth 1, tanh" in repr(with_network())
    assert "u  (x: 2)  [1. 2.]" in repr(ODEProblem(lambda t, u, p: -u, X, (0, 1)))
    assert "u  (state: 9)  from 0 to 8" in repr(ODEProblem(lambda t, u, p: -u, np.arange(9), (0, 1)))
    dated = ODEProblem(lambda t, u, p: -u, 1.0, ("2020-01-01", "2020-01-02"), units={"time": "day"})
    assert "from 2020-01-01 to 2020-01-02, t in day since then" in repr(dated)
