"""The words of the Julia engine and their tables, on both sides of the bridge."""

import re

from pysciml.engines.base import Status
from pysciml.engines.julia.algorithms import CAPABILITIES, METHODS, SENSITIVITIES
from pysciml.engines.julia.left_out import LEFT_OUT
from pysciml.engines.julia.options import OPTION_NAMES, options_of, write_spec
from pysciml.engines.julia.references import REFERENCES
from pysciml.engines.julia.route import julia_folder
from pysciml.engines.julia.status import STATUS, read_return_code


def read_julia(name):
    return (julia_folder() / "src" / name).read_text(encoding="utf-8")


def test_every_method_has_a_reference():
    assert all(re.search(r"\(\d{4}\), .{8}", method.reference) for method in METHODS.values())
    assert sum("doi:10." in method.reference for method in METHODS.values()) > 0.85 * len(METHODS)
    used = {method.reference for method in METHODS.values()}
    assert used == set(REFERENCES.values())
    assert set("Tsit5 Vern7 Vern9 Rosenbrock23 Rodas5P TRBDF2 KenCarp4 FBDF QNDF".split()) <= set(METHODS)


def test_both_halves_have_the_same_methods():
    text = read_julia("algorithms.jl")
    table = text.split("const METHODS = (")[1].split("\n)")[0]
    packages = dict(re.findall(r'(\w+) = "([^"]*)"', table))
    found = {word: package for package, words in packages.items() for word in words.split()}
    assert found == {word: method.package for word, method in METHODS.items()}
    project = (julia_folder() / "Project.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{package} = ", project.split("[compat]")[0], re.MULTILINE) for package in packages)


def test_left_out_words_are_no_words():
    assert not set(LEFT_OUT) & set(METHODS)


def test_options_are_known_to_julia():
    text = read_julia("options.jl")
    spoken = OPTION_NAMES - {"adaptive", "stiff"}
    assert {name for name in spoken if f'"{name}"' not in text} == set()
    values = {v for word in METHODS for o in options_of(word).values() if isinstance(o.values, tuple) for v in o.values}
    words = {value for value in values if isinstance(value, str)} - set(METHODS)
    assert {value for value in words if f'"{value}"' not in text} == set()


def test_a_spec_is_plain_text():
    options = (("adaptive", False), ("linear_solver", "KLU"), ("max_order", 3))
    assert write_spec("FBDF", options) == "FBDF;linear_solver=KLU;max_order=3"


def test_capabilities_list_every_word():
    words = {(c.kind, c.word) for c in CAPABILITIES}
    assert {("algorithm", "auto"), ("sensitivity", "auto"), ("problem", "ode"), ("optimizer", "lbfgs")} <= words
    assert {word for kind, word in words if kind == "sensitivity"} == {"auto", *SENSITIVITIES}


def test_return_codes():
    assert set(STATUS.values()) == set(Status) - {Status.GAVE_UP}  # how a fit ends, not a solve
    assert read_return_code("MaxIters") is Status.MAX_STEPS
    assert read_return_code("SomethingNew") is Status.FAILED
    assert f'"{next(k for k, v in STATUS.items() if v is Status.INTERRUPTED)}"' in read_julia("retcodes.jl")
