"""Which is faster inside a right-hand side in Julia: Lux over a ComponentArray, or the printed Program?

``python benchmarks/networks.py`` needs a Julia whose project also has Lux, ComponentArrays and ReverseDiff. Each
network is 2-H-H-2 tanh with the weights of ``ps.MLP``; both sides read the same flat vector. Per H: the largest
difference of the two results, then the median time of one call in microseconds, and of one vector-Jacobian product: of
Lux by a compiled ReverseDiff tape, of the printed Program by the generated one, the sum of many included. The timer
excludes compilation.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import pysciml as ps
from pysciml.engines.julia.derivatives import derive_pullback
from pysciml.engines.julia.printer import print_parts
from pysciml.engines.julia.route import apply_route, find_route

SCRIPT = """
using PySciML, Lux, ComponentArrays, ReverseDiff, LinearAlgebra, Printf, Statistics
const H = parse(Int, ARGS[1]); const folder = ARGS[2]
read_floats(name) = collect(reinterpret(Float64, read(joinpath(folder, name))))
const text = read(joinpath(folder, "program.jl"), String)
const weights = read_floats("weights")
const program = PySciML.compile_program(text, Float64[], Bool[], Int[], parse(Int, ARGS[3]), 0)
const reverse_text = read(joinpath(folder, "reverse.jl"), String)
const reverse_program = PySciML.compile_program(reverse_text, Float64[], Bool[], Int[], parse(Int, ARGS[4]), 0)
const integers = collect(reinterpret(Int64, read(joinpath(folder, "blocks"))))
const blocks = PySciML.load_pullback(program, reverse_program, integers).pullback.blocks
const model = Chain(Dense(2 => H, tanh), Dense(H => H, tanh), Dense(H => 2))
const state = Lux.initialstates(Random.default_rng(), model)
const axes_ = getaxes(ComponentArray(Lux.initialparameters(Random.default_rng(), model)))
lux!(du, u, p) = (du .= first(model(u, ComponentArray(p, axes_), state)); nothing)
printed!(du, u, p) = (program(du, 0.0, u, p); nothing)
function tape(f!)
    product(u, p, v) = (du = similar(u, promote_type(eltype(u), eltype(p))); f!(du, u, p); sum(du .* v))
    ReverseDiff.compile(ReverseDiff.GradientTape(product, ([0.3, -0.2], weights, [1.0, 0.5])))
end
function best(f, n)
    f(); median(begin t = time_ns(); for _ in 1:n; f(); end; (time_ns() - t) / n / 1e3 end for _ in 1:15)
end
u = [0.3, -0.2]; a = zeros(2); b = zeros(2)
lux!(a, u, weights); printed!(b, u, weights)
n = max(1, 200_000 ÷ length(weights))
times = (best(() -> lux!(a, u, weights), n), best(() -> printed!(b, u, weights), n))
results = (similar(u), similar(weights), similar(u))
reverse_lux = try
    compiled = tape(lux!)
    best(() -> ReverseDiff.gradient!(results, compiled, (u, weights, [1.0, 0.5])), max(1, n ÷ 20))
catch
    NaN
end
factors, total, state_slope, v = PySciML.Factors(blocks), zero(weights), zeros(2), [1.0, 0.5]
column = isempty(blocks) ? zero(weights) : zeros(PySciML.count_factors(blocks))
function product!()
    reverse_program(state_slope, column, 0.0, u, weights, v)
    isempty(blocks) ? (total .+= column) : PySciML.keep_factors!(total, factors, column)
end
reverse_printed = best(product!, max(64, n))
@printf("%5d %8d %12.1e %10.2f %10.2f %14.1f %14.1f\\n", H, length(weights), maximum(abs.(a .- b)), times...,
    reverse_lux, reverse_printed)
"""


def main():
    """Print one row a width."""
    route = find_route()
    apply_route(route)
    environment = os.environ | {"JULIA_PROJECT": str(route.project)}
    print(f"{'H':>5} {'weights':>8} {'difference':>12} {'Lux':>10} {'printed':>10} {'Lux tape':>14} {'generated':>14}")
    for width in (16, 50, 100, 300):
        net = ps.MLP(2, 2, width=width, depth=2)
        program = ps.ODEProblem(lambda t, u, p: p(u), np.zeros(2), (0, 1), net).program
        parts, reverse = print_parts(program), derive_pullback(program)
        reverse_parts = print_parts(reverse.program, reverse.added)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            (path / "program.jl").write_text(parts.text)
            (path / "reverse.jl").write_text(reverse_parts.text)
            (path / "weights").write_bytes(net.initial_weights("p").tobytes())
            (path / "blocks").write_bytes(np.array(reverse.blocks, dtype=np.int64).tobytes())
            (path / "run.jl").write_text("using Random\n" + SCRIPT)
            sizes = [str(parts.n_numbers), str(reverse_parts.n_numbers)]
            command = [str(route.executable), "run.jl", str(width), folder, *sizes]
            subprocess.run(command, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
