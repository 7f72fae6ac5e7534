"""Trees of symbolic regression, read as sums of terms: the same function, one form, no constant twice."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.program import Input, ProgramBuilder
from pysciml.recovery.library import evaluate_terms
from pysciml.recovery.pysr import TreeSearch
from pysciml.recovery.trees import read_tree

NAMES = ("u", "v")
WORDS = ("+", "-", "*", "/", "sin", "exp")
X = 0.5 + np.random.default_rng(2).random((9, 2))
KNOWN = {"u": X[:, 0], "v": X[:, 1], "sin": np.sin, "exp": np.exp}


def parse(postfix):
    """Codes and constants of a text, its operands first: ``"u v * 2 /"``."""
    codes, constants = [], []
    for word in postfix.split():
        if word in NAMES:
            codes.append(1 + NAMES.index(word))
        elif word in WORDS:
            codes.append(-1 - WORDS.index(word))
        else:
            codes.append(0)
            constants.append(float(word))
    return np.array(codes), np.array(constants)


def evaluate(postfix):
    """What the tree itself gives."""
    stack = []
    for word in postfix.split():
        if word in ("sin", "exp"):
            stack.append(KNOWN[word](stack.pop()))
        elif word in WORDS:
            right, left = stack.pop(), stack.pop()
            stack.append({"+": left + right, "-": left - right, "*": left * right, "/": left / right}[word])
        else:
            stack.append(KNOWN[word] if word in NAMES else float(word))
    return stack[0] + np.zeros(len(X))


@pytest.mark.parametrize(
    ("postfix", "text", "n"),
    [
        ("u v -0.8 / *", "-1.25*u*v", 1),
        ("u 2 * 3 v * *", "6*u*v", 1),
        ("2.5 u * v * v sin -", "2.5*u*v - 1*sin(v)", 2),
        ("u 1.5 + v 2 * 4 + *", "2*(u + 1.5)*(v + 2)", 3),
        ("u u * u u + +", "2*u + 1*u**2", 2),
        ("3 u / v u / -", "3/u - 1*v/u", 2),
        ("u 2 v * 4 + / 3 *", "1.5*u/(v + 2)", 2),
        ("2 v * sin u 4 + *", "1*(u + 4)*sin(2*v)", 3),
        ("0.5 exp 2 -", "-0.3513", 1),
        ("u v - exp 1 -", "1*exp(u - v) - 1", 2),
        ("u v * u /", "1*v", 1),
    ],
)
def test_a_tree_becomes_a_sum_of_terms(postfix, text, n):
    found = read_tree(*parse(postfix), WORDS)
    assert found.text(NAMES) == text and len(found.constants) == n
    np.testing.assert_allclose(evaluate_terms([found], X)[:, 0], evaluate(postfix), rtol=1e-12)
    np.testing.assert_allclose(eval(text, {}, KNOWN) + np.zeros(9), evaluate(postfix), rtol=1e-3)
    assert found.form == read_tree(*parse(postfix), WORDS).form


def test_constants_can_be_given_and_have_names():
    found = read_tree(*parse("2 v * sin u 4 + * u v * +"), WORDS)
    names = found.name_constants("net0", NAMES)
    assert names == {
        "net0_c1": "factor of (u + net0_c2)*sin(net0_c3*v)",
        "net0_c2": "constant of (u + net0_c2)*sin(net0_c3*v)",
        "net0_c3": "constant of (u + net0_c2)*sin(net0_c3*v)",
        "net0_u_v": "factor of u*v",
    }
    builder = ProgramBuilder(
        [Input("u", ()), Input("v", ()), Input("a", ()), Input("b", ()), Input("c", ()), Input("d", ())]
    )
    program = builder.build([("y", found.record(builder, (0, 1), iter(range(2, 6))))])
    value = evaluate_program(program, 0.3, 0.7, 7.0, 2.0, 3.0, 5.0)[0]
    assert float(value) == pytest.approx(2.0 * (0.3 + 3.0) * np.sin(5.0 * 0.7) + 7.0 * 0.3 * 0.7, rel=1e-14)


def test_trees_of_the_same_function_have_one_form():
    texts = ("u v * 3 *", "v 2 / u *", "u 0.1 v / /", "u v * v u * +", "u v + v - v *")
    assert {read_tree(*parse(text), WORDS).form for text in texts} == {"c*x0*x1"}


def test_numbers_that_are_not_finite_are_left_out():
    assert read_tree(*parse("u 0 /"), WORDS) is None
    assert read_tree(*parse("u 1000 exp *"), WORDS) is None


def make_search(texts, outputs):
    trees = [[parse(text) for text in of_one] for of_one in texts]
    return TreeSearch(trees, WORDS, X, outputs)


def test_candidates_are_the_corners_of_the_fronts():
    """The constant and ``u`` are worth less a symbol than ``u*v``; longer trees that say the same are one with it."""
    rest = np.cos(9 * X[:, 0])
    product = X[:, 0] * X[:, 1]
    rest -= product * (rest @ product) / (product @ product)
    outputs = np.column_stack([2 * product + 0.01 * rest, np.sin(X[:, 1])])
    search = make_search([["1.9", "u 2.1 *", "u v 2 * 1 * *", "2 u * v * 0.001 u * +"], ["v sin"]], outputs)
    path = search.path()
    texts = [tuple(one.text(NAMES) for one in candidate.equations) for candidate in path]
    assert texts[:2] == [("0", "1*sin(v)"), ("2*u*v", "1*sin(v)")]
    assert [one.complexity for one in path[:2]] == [4, 9] and [one.n_terms for one in path[:2]] == [1, 2]
    assert path[1].log_choices == pytest.approx(9 / 2 * np.log(len(WORDS) + 2 + 1))
    assert path[1].error[0] == pytest.approx(0.01 * np.linalg.norm(rest) / np.linalg.norm(outputs[:, 0]))
    forms = [one.equations[0].form for one in search.near(path[1])]
    assert forms[:3] == ["c*x0", "c*x0 + c*x0*x1", "c*x0*x1"]
    assert all(one.n_terms for one in search.near(path[1]))


def test_parts_of_what_was_found_are_candidates_too():
    """``v*(u + c)`` is as long a tree as ``c*u*v``, never further off, and all that is kept of the two."""
    product = X[:, :1] * X[:, 1:]
    search = make_search([["v u 1e-3 + *"]], 3 * product)
    assert search.path()[0].equations[0].text(NAMES) == "3*u*v"


@pytest.mark.parametrize(
    ("postfix", "n"),
    [("u v *", 5), ("u u * v /", 7), ("1 u /", 3), ("u v +", 7), ("2 v * sin u 4 + *", 10), ("1 u v + /", 5), ("3", 1)],
)
def test_sizes(postfix, n):
    assert read_tree(*parse(postfix), WORDS).size == n


def test_nothing_to_say():
    assert make_search([["0"]], np.zeros((9, 1))).path() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"iterations": 0}, "iterations must be a positive integer, got 0"),
        ({"maxsize": 3}, "maxsize must be at least 4, got 3"),
        ({"operators": ["+", "^"]}, r"operators must be some of \+ - \* /, got \['\+', '\^'\]"),
        ({"seed": -1}, "seed must be a non-negative integer, got -1"),
    ],
)
def test_bad_options(words, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.PySR(**words)
