"""The table of bad input: what a user writes, and the words of the answer. Nothing runs before the door has spoken."""

import numpy as np
import pint
import pytest
import xarray as xr

import pysciml as ps


def model(t, u, p):
    return {"hare": p.birth * u.hare - u.hare * u.lynx, "lynx": -u.lynx}


U0 = {"hare": 30.0, "lynx": 4.0}
P = {"birth": 0.5}
PROBLEM = ps.ODEProblem(model, U0, (0, 10), P)
DATA = xr.Dataset({"hare": ("time", [30.0, 20.0])}, {"time": [1.0, 2.0]})


def problem(f=model, u0=U0, t_span=(0, 10), p=P, **options):
    return ps.ODEProblem(f, u0, t_span, p, **options)


PROBLEMS = {
    "NaN in u0": (lambda: problem(u0=U0 | {"lynx": np.nan}), "u0['lynx'] is NaN; give a finite number"),
    "NaN in p": (lambda: problem(p={"birth": np.nan}), "p['birth'] is NaN; give a finite number"),
    "infinite u0": (lambda: problem(u0=U0 | {"hare": np.inf}), "u0['hare'] is infinite"),
    "complex u0": (lambda: problem(u0=U0 | {"hare": 1j}), "real and imaginary part as two states"),
    "text in p": (lambda: problem(p={"birth": "0.5"}), "p['birth'] is '0.5' (str); text is not a number"),
    "bool in p": (lambda: problem(p={"birth": True}), "p['birth'] is True (bool)"),
    "nested p": (lambda: problem(p={"rates": {"birth": 1.0}}), "p['rates'] is a nested dict; names are flat"),
    "list of states": (lambda: problem(u0=[U0, U0]), "a batch belongs in over="),
    "batch of parameters": (
        lambda: problem(p={"birth": xr.DataArray([0.5, 0.6], dims="patient")}),
        "If 'patient' of p['birth'] is a batch: a problem is one trajectory, and a batch belongs in over=",
    ),
    "reserved name": (lambda: problem(u0={"time": 1.0}), "state name 'time' is reserved"),
    "reserved prefix": (lambda: problem(p={"u0_hare": 1.0}), "names that start with u0_ are reserved"),
    "not an identifier": (lambda: problem(p={"birth rate": 1.0}), "such as 'birth_rate'"),
    "clash": (lambda: problem(p={"hare": 1.0}), "'hare' is both a state (u0) and a parameter (p)"),
    "f is no function": (lambda: problem(f=5), "f must be a function f(t, u, p), got 5 (int)"),
    "empty span": (lambda: problem(t_span=(3, 3)), "t_span is empty: it starts and ends at 3"),
    "reversed span": (lambda: problem(t_span=(10, 0)), "t_span is reversed: 10 is after 0"),
    "list of spans": (lambda: problem(t_span=[(0, 1), (0, 2)]), "a batch belongs in over="),
    "dates without unit": (lambda: problem(t_span=("2020-01-01", "2021-01-01")), "units={'time': 'day'}"),
    "unknown unit name": (lambda: problem(units={"hara": "1"}), "units: unknown name 'hara'"),
    "unknown keyword": (lambda: problem(unit={"hare": "1"}), "unknown keyword 'unit'"),
    "nearest keyword": (lambda: problem(unit={"hare": "1"}), "did you mean 'units'?"),
    "events": (lambda: problem(events=[object()]), "events[0] must be a ps.Event or a ps.Schedule"),
    "observe is no function": (lambda: problem(observe=5), "observe must be a function observe(t, u, p), got 5 (int)"),
    "observe without names": (lambda: problem(observe=lambda t, u, p: u.hare), "observe must return a dict"),
    "observe clashes": (
        lambda: problem(observe=lambda t, u, p: {"hare": u.hare}),
        "'hare' is both a state (u0) and an observable (observe)",
    ),
    "observe with a bad name": (lambda: problem(observe=lambda t, u, p: {"time": u.hare}), "'time' is reserved"),
    "observe of an unknown state": (lambda: problem(observe=lambda t, u, p: {"a": u.hara}), "observe: there is no"),
    "observe with None": (lambda: problem(observe=lambda t, u, p: {"a": None}), "observe: the model function returned"),
    "mass matrix of another shape": (
        lambda: problem(mass_matrix=np.eye(3)),
        "mass_matrix has shape (3, 3), expected (2, 2)",
    ),
    "mass matrix of an unknown state": (lambda: problem(mass_matrix={"hara": 0}), "hara"),
    "mass matrix singular otherwise": (lambda: problem(mass_matrix=np.ones((2, 2))), "rows and columns of zeros"),
    "mass matrix with NaN": (lambda: problem(mass_matrix=[1.0, np.nan]), "NaN or infinity"),
    "name": (lambda: problem(name=5), "name must be a string, got 5"),
    "wrong returned names": (lambda: problem(f=lambda t, u, p: {"hare": u.hare}), "lynx"),
    "wrong returned shape": (lambda: problem(f=lambda t, u, p: {"hare": np.ones(2), "lynx": 1.0}), "hare"),
    "unknown state in f": (lambda: problem(f=lambda t, u, p: {"hare": u.hara, "lynx": 1.0}), "hare"),
    "Julia's order": (lambda: problem(f=lambda u, p, t: {"hare": u.hare, "lynx": 1.0}), "f(t, u, p)"),
    "remake with an unknown name": (
        lambda: PROBLEM.remake(p={"birt": 1.0}),
        "remake(p=...): unknown name 'birt'; the names are birth; did you mean 'birth'?",
    ),
    "remake with another shape": (
        lambda: PROBLEM.remake(u0={"hare": [1.0, 2.0]}),
        "u0['hare'] has shape (2,), expected (); shapes stay",
    ),
    "remake with a batch": (lambda: PROBLEM.remake(u0={"hare": [1.0, 2.0]}), "over="),
    "remake with NaN": (lambda: PROBLEM.remake(p={"birth": np.nan}), "p['birth'] is NaN"),
    "remake without names": (lambda: PROBLEM.remake(u0=[1.0, 2.0]), "give new values by name (hare, lynx)"),
}

SOLVES = {
    "no problem": (lambda: ps.solve(model), "problem must be a ps.ODEProblem, got function"),
    "scalar saveat": (lambda: ps.solve(PROBLEM, saveat=0.5), "np.arange(0, 10, 0.5), for one time [0.5]"),
    "saveat outside": (lambda: ps.solve(PROBLEM, saveat=[5, 11]), "saveat has the time 11 outside t_span (0, 10)"),
    "saveat before": (lambda: ps.solve(PROBLEM, saveat=[-1, 5]), "saveat has the time -1 outside t_span"),
    "saveat unsorted": (lambda: ps.solve(PROBLEM, saveat=[5, 1]), "saveat must increase, but 1 comes after 5"),
    "saveat twice": (lambda: ps.solve(PROBLEM, saveat=[1, 1]), "saveat has the time 1 twice"),
    "saveat NaN": (lambda: ps.solve(PROBLEM, saveat=[1, np.nan]), "saveat has NaN"),
    "saveat empty": (lambda: ps.solve(PROBLEM, saveat=[]), "saveat is empty"),
    "saveat in two dimensions": (lambda: ps.solve(PROBLEM, saveat=[[1.0]]), "saveat must be one-dimensional"),
    "saveat as dates": (lambda: ps.solve(PROBLEM, saveat=["2020-01-01"]), "but t_span is in numbers"),
    "saveat with units": (
        lambda: ps.solve(PROBLEM, saveat=pint.UnitRegistry().Quantity([1.0, 2.0], "s")),
        "saveat is a pint quantity",
    ),
    "tstops outside": (lambda: ps.solve(PROBLEM, tstops=[11]), "tstops has the time 11 outside t_span"),
    "negative rtol": (lambda: ps.solve(PROBLEM, rtol=-1e-6), "rtol must be a positive number, got -1e-06"),
    "zero atol": (lambda: ps.solve(PROBLEM, atol=0), "atol must be a positive number, got 0"),
    "atol a state": (lambda: ps.solve(PROBLEM, atol=[1e-6, 1e-8]), "one tolerance serves all states"),
    "NaN dt": (lambda: ps.solve(PROBLEM, dt=np.nan), "dt must be a positive number"),
    "negative dtmax": (lambda: ps.solve(PROBLEM, dtmax=-1), "dtmax must be a positive number, got -1"),
    "max_steps float": (lambda: ps.solve(PROBLEM, max_steps=1e5), "max_steps must be a positive integer, got 100000.0"),
    "check": (lambda: ps.solve(PROBLEM, check="yes"), "check must be True or False, got 'yes'"),
    "output": (lambda: ps.solve(PROBLEM, output="array"), "did you mean 'arrays'?"),
    "algorithm": (lambda: ps.solve(PROBLEM, "Tsit"), "algorithm: unknown word 'Tsit'"),
    "nearest algorithm": (lambda: ps.solve(PROBLEM, "tsit5"), "did you mean 'Tsit5'?"),
    "engine": (lambda: ps.solve(PROBLEM, engine="juila"), "did you mean 'julia'?"),
    "keyword": (lambda: ps.solve(PROBLEM, save_at=[1.0]), "solve: unknown keyword 'save_at'"),
    "device": (
        lambda: ps.dense(PROBLEM, device="gpu"),
        "only ps.ensemble, ps.solve, ps.objective, ps.gradient, ps.fit and ps.fit_ensemble take device: all else is",
    ),
    "dtype": (
        lambda: ps.solve(PROBLEM, dtype="float32"),
        "only ps.ensemble takes dtype: all else is solved in float64",
    ),
    "word of a device": (
        lambda: ps.solve(PROBLEM, device="cuda"),
        "unknown word device='cuda'; one of cpu, gpu; did you mean 'cpu'",
    ),
    "another library's keyword": (lambda: ps.solve(PROBLEM, reltol=1e-6), "did you mean 'rtol'?"),
    "SciPy's keyword": (lambda: ps.solve(PROBLEM, t_eval=[1.0]), "did you mean 'saveat'?"),
    "language of source": (lambda: ps.source(PROBLEM, "fortran"), "source: unknown language 'fortran'"),
}

FITS = {
    "loss": (lambda: ps.fit(PROBLEM, DATA, loss="nmsee"), "did you mean 'nmse'?"),
    "optimizer": (lambda: ps.fit(PROBLEM, DATA, optimizer="adm"), "did you mean 'Adam'?"),
    "device": (lambda: ps.fit(PROBLEM, DATA, device="gpus"), "unknown word device='gpus'; one of cpu, gpu"),
    "sensitivity": (lambda: ps.fit(PROBLEM, DATA, sensitivity="discreet"), "did you mean 'discrete'?"),
    "fit's algorithm": (lambda: ps.fit(PROBLEM, DATA, algorithm="Tsit6"), "did you mean 'Tsit5'?"),
    "fit's engine": (lambda: ps.fit(PROBLEM, DATA, engine="diffax"), "did you mean 'diffrax'?"),
    "trainable": (lambda: ps.fit(PROBLEM, DATA, trainable=["berth"]), "did you mean 'birth'?"),
    "unknown variable": (lambda: ps.fit(PROBLEM, DATA.rename(hare="hares")), "data variable 'hares' is not a state"),
    "no time": (lambda: ps.fit(PROBLEM, DATA.rename(time="year")), "write data.rename({'year': 'time'})"),
    "a time twice": (
        lambda: ps.fit(PROBLEM, DATA.assign_coords(time=[1.0, 1.0])),
        "data has the time 1 more than once; write data.groupby('time').mean()",
    ),
    "only NaN": (lambda: ps.fit(PROBLEM, DATA * np.nan), "data variable 'hare' has only NaN"),
    "empty data": (lambda: ps.fit(PROBLEM, DATA.isel(time=[])), "data is empty"),
    "times outside": (lambda: ps.fit(PROBLEM, DATA.assign_coords(time=[1.0, 20.0])), "times outside t_span (0, 10)"),
    "no data at all": (lambda: ps.fit(PROBLEM, None), "data must be an xarray.Dataset over 'time'"),
}

TABLE = PROBLEMS | SOLVES | FITS


@pytest.mark.parametrize("case", TABLE)
def test_bad_input(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, message = TABLE[case]
    with pytest.raises(ps.PySciMLError) as error:
        call()
    assert message in str(error.value)
    assert not list(tmp_path.iterdir()), "something half-written was left"


def test_messages_are_one_of_the_seven_errors():
    assert len(ps.PySciMLError.__subclasses__()) == 6  # and the class itself
