# Does a static form of small systems pay: states as tuples in registers, the solver compiled once for each number of states?
#
# `julia --project=<an environment with the packages and StaticArrays> benchmarks/static.jl` prints microseconds of a warm solve
# (medians, end state only, without Python) in place as the package does it, in static form around the same generated functions,
# by hand in static form (the model compiled into the solver, as no package can do beforehand), and the seconds that the
# first solve in static form takes. Lotka-Volterra at 1e-8, Robertson at rtol = 1e-6, atol = 1e-10.

push!(LOAD_PATH, joinpath(dirname(@__DIR__), "julia"))
using OrdinaryDiffEqRosenbrock, OrdinaryDiffEqTsit5, OrdinaryDiffEqVerner, PySciML, SciMLBase, StaticArrays
using Statistics: median

const LOTKA_VOLTERRA = (
    f = "du[1] = p[1] * u[1] - p[2] * u[1] * u[2]; du[2] = p[4] * u[1] * u[2] - p[3] * u[2]",
    jac = "du[1] = p[1] - p[2] * u[2]; du[2] = p[4] * u[2]; du[3] = -p[2] * u[1]; du[4] = p[4] * u[1] - p[3]",
    hand = (u, p, t) -> SVector(p[1] * u[1] - p[2] * u[1] * u[2], p[4] * u[1] * u[2] - p[3] * u[2]),
    hand_jac = (u, p, t) -> SMatrix{2, 2}(p[1] - p[2] * u[2], p[4] * u[2], -p[2] * u[1], p[4] * u[1] - p[3]),
    u0 = [1.0, 1.0], p = [1.5, 1.0, 3.0, 1.0], t_end = 10.0, rtol = 1.0e-8, atol = 1.0e-8,
)
const ROBERTSON = (
    f = "r = p[3] * u[2] * u[3]; s = p[2] * u[2]^2; du[1] = r - p[1] * u[1]; du[2] = p[1] * u[1] - s - r; du[3] = s",
    jac = "r = p[3] * u[3]; s = p[3] * u[2]; q = 2 * p[2] * u[2]; du[1] = -p[1]; du[2] = p[1]; du[3] = 0; du[4] = r; " *
          "du[5] = -q - r; du[6] = q; du[7] = s; du[8] = -s; du[9] = 0",
    hand = (u, p, t) -> (r = p[3] * u[2] * u[3]; s = p[2] * u[2]^2; SVector(r - p[1] * u[1], p[1] * u[1] - s - r, s)),
    hand_jac = function (u, p, t)
        r, s, q = p[3] * u[3], p[3] * u[2], 2 * p[2] * u[2]
        return SMatrix{3, 3}(-p[1], p[1], 0.0, r, -q - r, q, s, -s, 0.0)
    end,
    u0 = [1.0, 0.0, 0.0], p = [0.04, 3.0e7, 1.0e4], t_end = 1.0e5, rtol = 1.0e-6, atol = 1.0e-10,
)

load(lines) = PySciML.load_program("function (du, t, u, p, w); @inbounds begin; $lines; end; nothing; end", Float64[], Bool[], Int[], 0, 0)

"A function of tuples around a generated one of vectors, which it calls with memory of its own; `S` is what it gives."
struct Static{N, S}
    f::PySciML.Generated
    u::Vector{Float64}
    out::Vector{Float64}
end

Static{N, S}(program) where {N, S} = Static{N, S}(PySciML.Generated(program), zeros(N), zeros(length(S)))

@inline function (f::Static{N, S})(u, p, t) where {N, S}
    copyto!(f.u, u)
    f.f(f.out, f.u, p, t)
    return S(ntuple(k -> @inbounds(f.out[k]), Val(length(S))))
end

function problems(model)
    (; u0, p, t_end) = model
    n, span = length(u0), (0.0, t_end)
    f, jac, time = map(load, (model.f, model.jac, join(("du[$k] = 0" for k in 1:n), "; ")))
    rhs = PySciML.load_model(f, jac, repeat(0:(n - 1), n), repeat(0:(n - 1), inner = n), n, false, time, time)
    V, M = SVector{n, Float64}, SMatrix{n, n, Float64, n^2}
    static = ODEFunction{false, SciMLBase.FullSpecialize}(Static{n, V}(f); jac = Static{n, M}(jac), tgrad = Static{n, V}(time))
    hand = ODEFunction{false, SciMLBase.FullSpecialize}(model.hand; jac = model.hand_jac, tgrad = (u, p, t) -> zero(u))
    return PySciML.make_problem(rhs, u0, p, span), ODEProblem{false}(static, V(u0), span, p), ODEProblem{false}(hand, V(u0), span, p)
end

function time_solve(problem, algorithm, model)
    run() = solve(problem, algorithm; reltol = model.rtol, abstol = model.atol, dense = false, save_everystep = false)
    first = @elapsed solution = run()
    return 1.0e6 * median([(@elapsed run()) for _ in 1:2000]), first, solution
end

println("| model, method | in place | static | by hand, static | first static, s | difference |\n|---|---|---|---|---|---|")
for (name, model, words) in (("Lotka-Volterra", LOTKA_VOLTERRA, ("Tsit5", "Vern7", "Rodas5P")), ("Robertson", ROBERTSON, ("Rodas5P",)))
    for word in words
        PySciML.load_algorithm(word)
        algorithm = PySciML.make_algorithm(word)
        ours, static, hand = problems(model)
        plain = word == "Rodas5P" ? Rodas5P(autodiff = PySciML.DIFFERENCES) : algorithm
        (a, _, x), (b, first, y), (c, _, _) = time_solve(ours, algorithm, model), time_solve(static, plain, model), time_solve(hand, plain, model)
        apart = maximum(abs.(x.u[end] .- y.u[end]) ./ abs.(x.u[end]))
        println("| $name, $word | ", join(round.((a, b, c, first, apart); sigdigits = 3), " | "), " |")
    end
end
