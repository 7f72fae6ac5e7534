"""What a network learnt, as equations, on both engines."""

import numpy as np
import pytest
from support.engines import ENGINES, require_engine

import pysciml as ps
from pysciml.engines.julia.optional import find_version

TIMES = np.linspace(0, 3, 25)
U0 = {"u": 0.44, "v": 4.6}


def learnt(t, u, p):
    met = p.net([u.u, u.v])
    return {"u": p.birth * u.u + met[0], "v": -1.8 * u.v + met[1]}


def predators(t, u, p):
    return {"u": 1.3 * u.u - 0.9 * u.u * u.v, "v": -1.8 * u.v + 0.8 * u.u * u.v}


@pytest.fixture(scope="module", params=ENGINES)
def recovered(request):
    """A network that learnt by gradient matching, and the equations for it; of Rackauckas et al. (2020)."""
    engine = require_engine(request.param)
    true = ps.ODEProblem(predators, U0, (0, 6))
    data = ps.solve(true, saveat=np.linspace(0, 6, 49), engine=engine)[["u", "v"]]
    problem = ps.ODEProblem(learnt, U0, (0, 3), {"birth": 1.3, "net": ps.MLP(2, 2, width=6, depth=1)})
    result = ps.fit(
        problem,
        data.isel(time=slice(None, 25)),
        trainable=["net"],
        strategy=[ps.Collocation()],
        optimizer=ps.Adam(1e-4, steps=1),
        engine=engine,
        algorithm="Tsit5",
        progress=False,
        verify="never",
    )
    most = 3 if engine == "julia" else 2  # each candidate compiles anew
    options = {"trainable": ["birth"], "algorithm": "Tsit5", "most_terms": most, "samples": 60}
    return result, ps.recover(result, held_out=data.isel(time=slice(25, None)), **options)


def test_the_missing_term_is_found(recovered):
    _, found = recovered
    parameters = found.result.parameters
    assert found.result.settings["trained"] == ["birth", "net0_u_v", "net1_u_v"]
    for name, value in {"birth": 1.3, "net0_u_v": -0.9, "net1_u_v": 0.8}.items():
        assert float(parameters[name]) == pytest.approx(value, rel=1e-3)
    assert found.equations["net[0]"].endswith("*u*v") and found.equations["net[1]"].endswith("*u*v")


def test_candidates_are_listed_by_complexity(recovered):
    result, found = recovered
    table = found.candidates
    assert table.n_terms.values.tolist() == [1, 2, 3][: table.sizes["candidate"]] and found.best == 1
    assert (np.diff(table.error) < 0).all()
    assert float(table.held_out[1]) < 1e-3 < float(table.held_out[0])
    assert float(table.loss[1]) == pytest.approx(found.result.loss)
    inputs = found.samples.inputs.transpose("sample", "input").values
    np.testing.assert_allclose(result.p.net(inputs), found.samples.outputs, rtol=1e-12)
    assert found.samples.input.values.tolist() == ["u", "v"]
    assert "net[0] = -0.9" in repr(found) and "* " in repr(found)


@pytest.mark.parametrize("recovered", ["julia"], indirect=True)
def test_symbolic_regression_finds_it_too(recovered):
    result, by_terms = recovered
    options = {
        "trainable": ["birth"],
        "algorithm": "Tsit5",
        "samples": 60,
        "held_out": by_terms.result.predict([4.0, 5.0]),
    }
    options |= {"library": ps.Library(functions=()), "method": ps.PySR(iterations=4, maxsize=9)}
    if not find_version("SymbolicRegression"):
        with pytest.raises(
            ps.EngineUnavailable, match=r"method='pysr'.*SymbolicRegression is not in.*To add it: .*Pkg"
        ):
            ps.recover(result, **options)
        return
    found = ps.recover(result, **options)
    for name, value in by_terms.result.parameters.items():
        assert float(found.result.parameters[name]) == pytest.approx(float(value), rel=1e-4)
    assert found.equations == by_terms.equations
    best = found.candidates.isel(candidate=found.best)
    assert int(best.n_terms) == 2 and int(best.complexity) == 10 and float(best.held_out) < 1e-3
    assert "  terms  size " in repr(found)
