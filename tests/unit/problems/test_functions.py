"""An initial state that follows from ``p``, and observables: forms, names, labels, copies and files."""

import pickle

import numpy as np
import pytest

import pysciml as ps
from pysciml.errors import ProblemError, TraceError
from pysciml.problems.schema import problem_from_json, problem_to_json


def model(t, u, p):
    return {"x": -p.k * u.x, "y": p.k * u.x}


def start(p):
    return {"x": 2.0 * p.a, "y": p.b[0] + p.b[1] ** 2}


def observe(t, u, p):
    return {"total": u.x + u.y, "both": np.stack([u.x, p.k * u.y])}


def make(**options):
    p = {"k": 0.5, "a": 3.0, "b": [1.0, 2.0]}
    labels = {"dims": {"both": "part"}, "coords": {"part": ["x", "y"]}, "units": {"total": "mg"}}
    options = labels | {"observe": observe} | options
    return ps.ODEProblem(model, start, (0, 5), p, **options)


def test_the_start_follows_from_p():
    problem = make()
    assert (problem.u0.x, problem.u0.y) == (6.0, 5.0)
    other = problem.remake(p={"a": 1.0, "b": [0.0, 3.0]})
    assert (other.u0.x, other.u0.y) == (2.0, 9.0)
    assert other.initial == problem.initial and other != problem
    assert problem.remake(t_span=(0, 1)).u0.x == 6.0


def test_all_states_as_numbers_replace_the_function():
    problem = make().remake(u0={"x": 1, "y": 2.0})
    assert problem.initial is None and problem.u0.x == 1.0
    assert problem.remake(p={"a": 9.0}).u0.x == 1.0
    with pytest.raises(ProblemError, match="u0 is a function of p here.*y missing"):
        make().remake(u0={"x": 1.0})
    with pytest.raises(ProblemError, match="make a new problem"):
        make().remake(u0=start)


@pytest.mark.parametrize(
    "u0, f, form", [(lambda p: p.a + 1, lambda t, u, p: -u, "scalar"), (lambda p: p.b * 2, lambda t, u, p: -u, "array")]
)
def test_a_bare_start(u0, f, form):
    problem = ps.ODEProblem(f, u0, (0, 1), {"a": 1.0, "b": [1.0, 2.0]})
    assert problem.u_layout.form == form and problem.u_layout.names == ("u",)
    np.testing.assert_array_equal(problem.u0_values, [2.0] if form == "scalar" else [2.0, 4.0])
    assert problem.dims["u"] == (() if form == "scalar" else ("state",))


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"u0": lambda t, u, p: {"x": 1.0}}, TraceError, "it is called as u0(p)"),
        ({"u0": lambda p: {"x": p.missing}}, TraceError, "u0: there is no 'missing'"),
        ({"u0": lambda p: {"x": np.log(p.k - 1)}}, ProblemError, "u0['x'], which follows from p, is NaN"),
        ({"u0": lambda p: {}}, TraceError, "u0: the model function returned an empty dict"),
        ({"u0": lambda p: {"k": p.k}}, ProblemError, "'k' is both a state (u0) and a parameter (p)"),
        ({"u0": lambda p: {"x": np.random.rand() * p.k}}, TraceError, "something else when it was called again"),
        ({"observe": lambda u, p: {"y": u.x}}, TraceError, "observe: the model function takes (u, p)"),
        ({"observe": lambda t, u, p: {"k": u.x}}, ProblemError, "a parameter (p) and an observable (observe)"),
        ({"observe": lambda t, u, p: {"y": u.x}, "units": {"z": "1"}}, ProblemError, "units: unknown name 'z'"),
        ({"observe": lambda t, u, p: {"y": u.x}, "dims": {"y": ("a",)}}, ProblemError, "dims['y'] is ('a',)"),
    ],
)
def test_bad_functions(options, error, message):
    options = {"u0": {"x": 1.0}} | options
    with pytest.raises(error) as caught:
        ps.ODEProblem(lambda t, u, p: {"x": -u.x}, t_span=(0, 1), p={"k": 0.5}, **options)
    assert message in str(caught.value)


def test_copies_and_files_keep_both():
    problem = make()
    for copy in (pickle.loads(pickle.dumps(problem)), problem_from_json(problem_to_json(problem))):
        assert copy == problem and hash(copy) == hash(problem)
        assert copy.remake(p={"a": 1.0}).u0.x == 2.0
    assert make(observe=None, dims=None, coords=None, units=None) != problem
    plain = ps.ODEProblem(model, {"x": 6.0, "y": 5.0}, (0, 5), {"k": 0.5, "a": 3.0, "b": [1.0, 2.0]})
    assert "initial" not in problem_to_json(plain) and problem_from_json(problem_to_json(plain)) == plain


def test_labels_of_observables():
    problem = make()
    assert problem.dims["both"] == ("part",) and problem.dims["total"] == ()
    assert make(dims=None, coords=None).dims["both"] == ("both_dim_0",)
    assert problem.remake(units={"total": "g"}).units["total"] == "g"
    text = repr(problem)
    assert "total = x + y" in text and "x(0) = 2 * a" in text and "both   (part: 2)" in text
