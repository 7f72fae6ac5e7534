"""Files from strangers: whatever stands in a Program's or problem's text, none of it becomes Julia source or runs."""

import builtins
import json
import os
import subprocess

import numpy as np
import pytest
import xarray as xr

import pysciml as ps
from pysciml.engines.julia.printer import print_parts
from pysciml.errors import PySciMLError
from pysciml.ir.schema import program_from_json, program_to_json
from pysciml.problems.schema import problem_from_json, problem_to_json

MARK = "owned"
TEXTS = [
    f'x"); run(`touch {MARK}`); ("',
    f"$(run(`touch {MARK}`))",
    f"du[1] = 0; end; ccall(:system, Cint, (Cstring,), \"touch {MARK}\"); function f() #",
    f"__import__('os').system('touch {MARK}')",
    f"{MARK}\n\nend\nusing Pkg",
    f"../../{MARK}\x00",
]  # fmt: skip


def model(t, u, p):
    flow = p.k * np.sqrt(np.abs(u.x[:-1])) + np.where(u.y > 0, u.y, 0.5)
    return {"x": np.concatenate([flow, [np.sum(u.x) - p.net([u.y])[0]]]), "y": -(u.y**3) + p.drive(t)}


@pytest.fixture(scope="module")
def problem():
    table = xr.DataArray([0.0, 1.0, 0.5], dims="time", coords={"time": [0.0, 1.0, 2.0]})
    return ps.ODEProblem(
        model,
        {"x": np.ones(3), "y": 1.0},
        (0.0, 2.0),
        {"k": 0.5, "net": ps.MLP(1, 1, width=2, depth=1), "drive": ps.interpolate(table)},
        units={"x": "mol"},
        events=[ps.Event(lambda t, u, p: u.y - 0.5, lambda t, u, p: {"y": 1.0}, name="top")],
        observe=lambda t, u, p: {"total": np.sum(u.x)},
        name="tank",
    )


def places(value, path=()):
    """Every leaf and every key of a JSON value, as the way to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), True
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from places(item, (*path, k))
    else:
        yield path, False


def changed(content, path, is_key, text):
    """A copy in which a leaf, or a key, is a text."""
    content = json.loads(json.dumps(content))
    holder = content
    for step in path[:-1]:
        holder = holder[step]
    if is_key:
        holder[text] = holder.pop(path[-1])
    else:
        holder[path[-1]] = text
    return json.dumps(content)


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch, tmp_path):
    """No code, no process, no file: an attempt fails the test."""
    monkeypatch.chdir(tmp_path)

    def forbidden(*arguments, **options):
        raise AssertionError(f"a text was run: {arguments[0]!r}")

    for owner, name in ((os, "system"), (subprocess, "Popen"), (builtins, "eval"), (builtins, "exec")):
        monkeypatch.setattr(owner, name, forbidden)
    yield
    monkeypatch.undo()
    assert not os.listdir(tmp_path)


def check_printed(program):
    printed = print_parts(program)
    assert MARK not in printed.text and "run(" not in printed.text and "ccall" not in printed.text


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_in_programs(text, problem):
    read = 0
    for program in (problem.program, problem.observe):
        content = json.loads(program_to_json(program))
        for path, is_key in places(content):
            try:
                loaded = program_from_json(changed(content, path, is_key, text))
            except PySciMLError:
                continue
            read += 1
            check_printed(loaded)
    assert read, "file names of origins are texts"


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_in_problems(text, problem):
    content = json.loads(problem_to_json(problem))
    read = 0
    for path, is_key in places(content):
        try:
            loaded = problem_from_json(changed(content, path, is_key, text))
        except PySciMLError:
            continue
        read += 1
        repr(loaded)
        for program in (loaded.program, loaded.observe):
            check_printed(program)
    assert read, "units and the problem's name are texts"


@pytest.mark.parametrize("name", ["x;y", "a b", "run(`ls`)", "x\n", "µ$(1)", "", "__class__", "1x"])
def test_names_that_are_no_names(name):
    with pytest.raises(PySciMLError, match="name|identifier"):
        ps.ODEProblem(lambda t, u, p: {name: -u[name]}, {name: 1.0}, (0, 1))


@pytest.mark.parametrize("name", ["end", "function", "du", "p", "w", "eval", "PySciML", "Ω"])
def test_julias_own_words_are_names_like_others(name):
    problem = ps.ODEProblem(lambda t, u, p: {name: -u[name]}, {name: 1.0}, (0, 1))
    other = ps.ODEProblem(lambda t, u, p: {"x": -u.x}, {"x": 1.0}, (0, 1))
    assert print_parts(problem.program).text == print_parts(other.program).text
