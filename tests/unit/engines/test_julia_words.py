"""The words of the Julia engine and their tables, on both sides of the bridge."""

import re

from pysciml.engines.base import Status
from pysciml.engines.julia.algorithms import CAPABILITIES, METHODS, SENSITIVITIES
from pysciml.engines.julia.route import julia_folder
from pysciml.engines.julia.status import STATUS, read_return_code


def read_julia(name):
    return (julia_folder() / "src" / name).read_text(encoding="utf-8")


def test_every_method_has_a_reference():
    assert all("doi" in method.reference for method in METHODS.values())
    assert set("Tsit5 Vern7 Vern9 Rosenbrock23 Rodas5P TRBDF2 KenCarp4 FBDF QNDF".split()) <= set(METHODS)


def test_both_halves_have_the_same_methods():
    text = read_julia("algorithms.jl")
    makers = set(re.findall(r'^    "(\w+)" => \(\) ->', text, flags=re.MULTILINE))
    assert makers == {"auto", *METHODS}
    stiff = set(re.findall(r'"(\w+)"', text.split("const STIFF")[1].split(")")[0]))
    assert stiff == {word for word, method in METHODS.items() if method.is_stiff}


def test_capabilities_list_every_word():
    words = {(c.kind, c.word) for c in CAPABILITIES}
    assert {("algorithm", "auto"), ("sensitivity", "auto"), ("problem", "ode"), ("optimizer", "lbfgs")} <= words
    assert {word for kind, word in words if kind == "sensitivity"} == {"auto", *SENSITIVITIES}


def test_return_codes():
    assert set(STATUS.values()) == set(Status)
    assert read_return_code("MaxIters") is Status.MAX_STEPS
    assert read_return_code("SomethingNew") is Status.FAILED
    assert f'"{next(k for k, v in STATUS.items() if v is Status.INTERRUPTED)}"' in read_julia("retcodes.jl")
