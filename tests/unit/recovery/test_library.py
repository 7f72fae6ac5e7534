"""Candidate terms, and the few of them that sparse regression keeps."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.recovery.library import evaluate_terms
from pysciml.recovery.sparse import exchanges, sparse_path

NAMES = ("hare", "lynx")
RANDOM = np.random.default_rng(1)


def test_terms_of_two_inputs():
    terms = ps.Library().terms(2)
    texts = [term.text(NAMES) for term in terms]
    assert len(terms) == 10 + 4 and texts[:5] == ["1", "hare", "lynx", "hare**2", "hare*lynx"]
    assert texts[-4:] == ["sin(hare)", "sin(lynx)", "cos(hare)", "cos(lynx)"]
    assert [term.word(NAMES) for term in terms[:5]] == ["1", "hare", "lynx", "hare2", "hare_lynx"]


def test_a_term_is_what_its_text_says():
    terms = ps.Library(degree=3, functions=("sin", "exp", "tanh", "sqrt", "log", "tan", "cos")).terms(2)
    x = 0.5 + RANDOM.random((7, 2))
    known = {"hare": x[:, 0], "lynx": x[:, 1]} | {w: getattr(np, w) for w in "sin cos tan exp log sqrt tanh".split()}
    expected = [eval(term.text(NAMES), {}, known) + np.zeros(7) for term in terms]
    np.testing.assert_allclose(evaluate_terms(terms, x), np.stack(expected, axis=1), rtol=1e-14)


def test_sparse_regression_finds_what_was_put_in():
    pytest.importorskip("pysindy")
    terms = ps.Library().terms(2)
    texts = [term.text(NAMES) for term in terms]
    x = RANDOM.random((80, 2)) * [3.0, 40.0]
    columns = evaluate_terms(terms, x)
    truth = np.zeros((2, len(terms)))
    truth[0, texts.index("hare*lynx")] = -0.02
    truth[1, texts.index("hare**2")], truth[1, texts.index("cos(lynx)")] = 0.5, 2.0
    path = sparse_path(columns, columns @ truth.T, 6)
    assert [one.n_terms for one in path[:3]] == [1, 2, 3]
    np.testing.assert_allclose(path[2].coefficients, truth, atol=1e-12)
    assert (path[2].error < 1e-12).all() and path[1].error.max() > 0.1


def test_columns_that_say_nothing_new_are_left_out():
    pytest.importorskip("pysindy")
    x = np.column_stack([RANDOM.random(50), np.full(50, 2.0)])  # powers of the second input are the constant again
    terms = ps.Library(degree=2, functions=("log",)).terms(2)
    columns = np.column_stack([evaluate_terms(terms, x), np.full(50, np.nan)])
    (best, *_) = sparse_path(columns, 3.0 * x[:, :1] * x[:, 1:], 2)
    assert np.flatnonzero(best.coefficients[0]).tolist() == [1]
    assert best.coefficients[0, 1] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"degree": -1}, "degree must be a non-negative integer, got -1"),
        ({"functions": ["sine"]}, "unknown function 'sine'.*did you mean|unknown function 'sine'"),
    ],
)
def test_bad_libraries(words, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.Library(**words)


def test_exchanges_are_what_is_near():
    """One term less, one for another, two for one; of the others those that say best what there is to say."""
    x = np.random.default_rng(3).random((60, 2)) + 0.5
    columns = np.column_stack([x[:, 0], x[:, 1], x[:, 0] * x[:, 1], x[:, 0] ** 2, x[:, 1] ** 2, np.sin(x[:, 0])])
    outputs = np.column_stack([columns[:, 2], 2.0 * columns[:, 3]])
    wrong = np.zeros((2, 6))
    wrong[0, [0, 1]], wrong[1, 5] = 1.0, 3.0
    found = exchanges(columns, outputs, wrong, 2)
    supports = [tuple(map(tuple, np.argwhere(one.coefficients).tolist())) for one in found]
    assert supports[:3] == [((0, 1), (1, 5)), ((0, 0), (1, 5)), ((0, 0), (0, 1))]
    assert len(found) == 3 + 2 + 2 and ((0, 0), (0, 2), (1, 5)) in supports[3:5] and ((0, 2), (1, 5)) in supports[5:]
    for one in found:
        assert one.error == pytest.approx(
            np.linalg.norm(outputs - columns @ one.coefficients.T, axis=0) / np.linalg.norm(outputs, axis=0), abs=1e-14
        )
    (exact,) = [one for one in found[5:] if one.coefficients[0, 2]]
    assert exact.coefficients[0, 2] == pytest.approx(1.0) and exact.error[0] < 1e-12
    assert all(one.n_terms for one in exchanges(columns, outputs, np.eye(2, 6)[:1] * np.array([[1.0], [0.0]]), 2))
