"""What is public has a numpydoc docstring with the sections that it needs, and its example runs."""

import doctest
import inspect
import re
from enum import Enum

import matplotlib.pyplot as plt
import pytest
from support.engines import require_engine

import pysciml as ps

NAMES = sorted(ps.__all__)
RECEIVED = {
    "DenseSolution",
    "FitResult",
    "Objective",
    "Recovered",
}  # what comes back from a function; nobody calls these
ORDER = ["Parameters", "Attributes", "Returns", "Raises", "Notes", "References", "Examples"]
SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)


def sections(docstring: str) -> list[str]:
    """Titles of the sections of a numpydoc docstring, in order."""
    return SECTION.findall(inspect.cleandoc(docstring))


def is_error(thing) -> bool:
    return inspect.isclass(thing) and issubclass(thing, BaseException)


def needed_sections(thing) -> set[str]:
    """The sections that a public thing needs."""
    if is_error(thing) or (inspect.isclass(thing) and issubclass(thing, Enum)):
        return set()
    if not inspect.isclass(thing):
        has_parameters = bool(inspect.signature(thing).parameters)
        return {"Returns", "Raises", "Examples"} | ({"Parameters"} if has_parameters else set())
    if thing.__name__ in RECEIVED:
        return {"Attributes"}
    return {"Examples"} | ({"Parameters"} if inspect.signature(thing).parameters else set())


def public_methods(cls):
    """Methods and properties defined by a public class of ours."""
    for name, member in vars(cls).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property | classmethod | staticmethod)):
            yield name, member


def documented_parameters(docstring: str, titles=("Parameters",)) -> set[str]:
    """Names under a section's title; ``a, b : float`` is two."""
    lines = inspect.cleandoc(docstring).splitlines()
    names, inside = set(), False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r"-{3,}", following):
            inside = line in titles
        elif inside and line and not line.startswith(" ") and not re.fullmatch(r"-{3,}", line):
            names |= {word.strip().lstrip("*") for word in line.split(" :")[0].split(",")}
    return names


def test_all_names_exist():
    assert len(set(ps.__all__)) == len(ps.__all__)
    assert not [name for name in ps.__all__ if not hasattr(ps, name)]


@pytest.mark.parametrize("name", NAMES)
def test_sections(name):
    thing = getattr(ps, name)
    assert inspect.getdoc(thing), f"{name} has no docstring"
    if callable(thing):
        missing = needed_sections(thing) - set(sections(thing.__doc__))
        assert not missing, f"{name} lacks {sorted(missing)}"
        order = [title for title in sections(thing.__doc__) if title in ORDER]
        assert order == sorted(order, key=ORDER.index)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if inspect.isfunction(getattr(ps, n)) or inspect.isclass(getattr(ps, n))]
)
def test_every_parameter_is_described(name):
    thing = getattr(ps, name)
    if is_error(thing) or "Parameters" not in sections(thing.__doc__):
        return
    caught = {"unknown"}  # **unknown: keywords that raise
    assert set(inspect.signature(thing).parameters) - caught == documented_parameters(thing.__doc__) - caught


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isclass(getattr(ps, n)) and not is_error(getattr(ps, n))])
def test_methods_are_described(name):
    bare = [member for member, value in public_methods(getattr(ps, name)) if not inspect.getdoc(value)]
    assert not bare, f"{name}: {bare} have no docstring"


@pytest.mark.parametrize("name", NAMES)
def test_example_runs(name, tmp_path, monkeypatch):
    thing = getattr(ps, name)
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {}, name, None, None)
    if not examples.examples:
        return
    require_engine("diffrax")
    monkeypatch.chdir(tmp_path)
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=said.append)
    plt.close("all")
    assert not said, "".join(said)


def test_the_rules_can_fail():
    assert sections("A thing.\n\nParameters\n----------\nx : int\n") == ["Parameters"]
    two = "A.\n\nParameters\n----------\na, b : float\n    Two.\n*c\n    More.\n\nReturns\n-------\nd\n"
    assert documented_parameters(two) == {"a", "b", "c"}
