"""The text of functions of numbers, which need no memory."""

import numpy as np

import pysciml as ps
from pysciml.engines.julia.kernels import print_kernel
from pysciml.engines.julia.printer_scalars import print_scalars


def test_each_element_is_a_line():
    problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x * t}, {"x": [1.0, 2.0]}, (0, 1), {"k": 0.5})
    assert print_scalars(problem.program) == (
        "function (t, u, p)\n    T = typeof(t)\n    @inbounds begin\n"
        "        s1 = (-p[1])\n        s2 = (s1 * u[1])\n        s3 = (s1 * u[2])\n"
        "        s4 = (s2 * t)\n        s5 = (s3 * t)\n        (s4, s5,)\n    end\nend\n"
    )


def test_constants_are_of_the_type_of_the_time():
    problem = ps.ODEProblem(lambda t, u, p: {"x": np.where(u.x > 0.25, 0.1, u.x**3)}, {"x": 1.0}, (0, 1))
    text = print_scalars(problem.program)
    assert "T(0.25)" in text and "T(0.1)" in text and "u[1]^(3)" in text and "np_where(" in text


def test_a_matrix_has_its_zeros_and_no_slope_in_time_where_time_plays_no_part():
    problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x, "y": u.x}, {"x": 1.0, "y": 0.0}, (0, 1), {"k": 2.0})
    _, matrix, slope = print_kernel(problem.program, True)
    assert "(s1, T(1.0), zero(T), zero(T),)" in matrix and slope == ""
    assert print_kernel(problem.program, False)[1:] == ("", "")
    forced = ps.ODEProblem(lambda t, u, p: {"x": p.k * t}, {"x": 1.0}, (0, 1), {"k": 2.0})
    assert "p[1]" in print_kernel(forced.program, True)[2]
