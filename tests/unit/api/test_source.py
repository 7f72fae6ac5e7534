import numpy as np

import pysciml as ps


def test_source_is_julia_of_positions():
    """No name of the user's reaches generated text."""
    problem = ps.ODEProblem(
        lambda t, u, p: {"hare": p.birth * u.hare, "lynx": -np.sin(u.hare)},
        {"hare": 1.0, "lynx": 2.0},
        (0, 1),
        {"birth": 1.0},
    )
    text = ps.source(problem, "julia")
    assert text.startswith("function (du, t, u, p, w)") and "p[1]" in text and "u[1]" in text
    assert not any(name in text for name in ("hare", "lynx", "birth"))
    assert ps.source(problem) == text
