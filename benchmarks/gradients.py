"""How long does a gradient take, warm and from Python, beside one solve and beside hand-written diffrax?

``python benchmarks/gradients.py`` needs a Julia that is ready. Each problem has the same tolerances on both sides; of
diffrax the best of the solvers and adjoints below, jitted. Printed: milliseconds (median, and the quartiles' distance)
of the gradient and of the value alone, the seconds of process time that the first gradient of the model takes
(objective made, functions compiled), diffrax's best, and the largest difference of the two gradients, each element
times its parameter, relative to the largest.
"""

import time

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import pysciml as ps

jax.config.update("jax_enable_x64", True)
SPIRAL = np.array([[-0.1, 2.0], [-2.0, -0.1]])
EXPLICIT = (diffrax.Tsit5, diffrax.Dopri8)
IMPLICIT = (diffrax.Kvaerno3, diffrax.Kvaerno4, diffrax.Kvaerno5)


def measure(function, seconds=1.0):
    """Median and interquartile range of a call, milliseconds."""
    function()
    times, start = [], time.perf_counter()
    while len(times) < 20 or (time.perf_counter() - start < seconds and len(times) < 1000):
        began = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - began))
    low, middle, high = np.percentile(times, [25, 50, 75])
    return middle, high - low


def spiral(width, depth):
    """A 2-H-..-2 network of the cubed state, 30 points of a spiral, 1e-8."""
    net = ps.MLP(2, 2, width=width, depth=depth, seed=1)
    problem = ps.ODEProblem(lambda t, u, p: p.net(u**3), np.array([2.0, 0.0]), (0.0, 1.5), {"net": net})
    truth = ps.ODEProblem(lambda t, u, p: (u**3) @ SPIRAL, np.array([2.0, 0.0]), (0.0, 1.5))
    data = ps.solve(truth, "Vern9", saveat=np.linspace(0.0, 1.5, 30), engine="julia", rtol=1e-10, atol=1e-10)
    sizes = [2, *[width] * depth, 2]

    def f(t, u, p):
        start, x = 0, u**3
        for k, (m, n) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            weight, bias = p[start : start + m * n].reshape(m, n), p[start + m * n : start + m * n + n]
            x = x @ weight + bias
            x = jnp.tanh(x) if k < depth else x
            start += m * n + n
        return x

    return problem, data, "Tsit5", None, 1e-8, 1e-8, f, EXPLICIT


def robertson():
    """Three rates, 20 times on a logarithmic scale."""

    def model(t, u, p):
        slow, fast, back = p.k1 * u.a, p.k2 * u.b**2, p.k3 * u.b * u.c
        return {"a": back - slow, "b": slow - fast - back, "c": fast}

    problem = ps.ODEProblem(model, {"a": 1.0, "b": 0.0, "c": 0.0}, (0.0, 1e5), {"k1": 0.04, "k2": 3e7, "k3": 1e4})
    data = 1.1 * ps.solve(problem, "Rodas5P", saveat=np.logspace(-5, 5, 20), engine="julia", rtol=1e-9, atol=1e-13)

    def f(t, y, p):
        slow, fast, back = p[0] * y[0], p[1] * y[1] ** 2, p[2] * y[1] * y[2]
        return jnp.stack([back - slow, slow - fast - back, fast])

    return problem, data[["a", "b", "c"]], "Rodas5P", ["k1", "k2", "k3"], 1e-6, 1e-10, f, IMPLICIT


PROBLEMS = {
    "spiral, 252 weights": lambda: spiral(50, 1),
    "1052 weights": lambda: spiral(30, 2),
    "10602 weights": lambda: spiral(100, 2),
    "91802 weights": lambda: spiral(300, 2),
    "Robertson, 3 rates": robertson,
}


def measure_diffrax(problem, data, f, solvers, rtol, atol, x0):
    """The quickest of solvers and adjoints, and its gradient."""
    values = jnp.asarray(np.concatenate([np.atleast_2d(v.values.T) for v in data.data_vars.values()]).T)
    times, (t0, t1), u0 = jnp.asarray(data.time.values), problem.t_span, jnp.asarray(problem.u0_values)
    best = (np.inf, "", None)
    modes = [(diffrax.RecursiveCheckpointAdjoint(), jax.value_and_grad)]
    if len(x0) < 10:
        modes += [(diffrax.ForwardMode(), lambda loss: lambda p: (loss(p), jax.jacfwd(loss)(p)))]
    for solver in solvers:
        for adjoint, differentiate in modes:

            def loss(p, solver=solver, adjoint=adjoint):
                solution = diffrax.diffeqsolve(
                    diffrax.ODETerm(f), solver(), t0, t1, None, u0, p, saveat=diffrax.SaveAt(ts=times),
                    stepsize_controller=diffrax.PIDController(rtol, atol), adjoint=adjoint, max_steps=4096,
                )  # fmt: skip
                return jnp.mean((solution.ys - values) ** 2 * data_scale(values))

            function = jax.jit(differentiate(loss))
            took = measure(lambda function=function: jax.block_until_ready(function(x0)))[0]
            if took < best[0]:
                best = (took, f"{solver.__name__}, {type(adjoint).__name__}", np.asarray(function(x0)[1]))
    return best


def data_scale(values):
    """The weights of the loss "nmse" for values ``(time, state)`` of scalar states, of "mse" for one array."""
    return 1.0 / jnp.std(values, axis=0) ** 2 if values.shape[1] == 3 else 1.0


def main():
    """Print one row a problem."""
    print("problem | gradient, ms | value, ms | ratio | first, s | diffrax, ms | ratio | difference")
    for name, make in PROBLEMS.items():
        problem, data, word, wrt, rtol, atol, f, solvers = make()
        loss = "mse" if wrt is None else "nmse"
        began = time.process_time()
        o = ps.objective(
            problem, xr.Dataset(data.data_vars), engine="julia", algorithm=word, trainable=wrt, loss=loss,
            rtol=rtol, atol=atol,
        )  # fmt: skip
        gradient = o(o.x0)[1]
        first = time.process_time() - began
        x = np.array(o.x0)
        ours, spread = measure(lambda o=o, x=x: o(x))
        value, _ = measure(lambda o=o, x=x: o.value(x))
        theirs, best, other = measure_diffrax(problem, data, f, solvers, rtol, atol, x)
        difference = np.max(np.abs((gradient - other) * np.abs(x))) / np.max(np.abs(gradient * x))
        print(
            f"{name} | {ours:.3f} ± {spread:.3f} | {value:.3f} | {ours / value:.1f} | {first:.2f} | "
            f"{theirs:.2f}, {best} | {theirs / ours:.1f} | {difference:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
