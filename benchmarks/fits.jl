# A training loop by hand in Julia: SciMLSensitivity's adjoint and Optimization's Adam, or Adam and then L-BFGS. `fits.py` runs
# this with a folder of arrays and four words; a line for each that arrives: seconds, iterations, seconds of compiling, its name.

using OrdinaryDiffEq, SciMLSensitivity, Zygote, ReverseDiff
using Optimization, OptimizationOptimisers, OptimizationOptimJL

const folder, model, target, limit, budget = ARGS[1], ARGS[2], parse.(Float64, ARGS[3:5])...
load(name) = collect(reinterpret(Float64, read(joinpath(folder, name))))
const start, u0, times, span = load("start"), load("u0"), load("times"), Tuple(load("span"))
const scale, data = load("scale"), reshape(load("values"), length(u0), :)

"The weights of a dense layer from `m` to `n`, behind the first `k` parameters, and where the next begin."
layer(p, k, m, n) = (reshape(view(p, (k + 1):(k + m * n)), n, m), view(p, (k + m * n + 1):(k + m * n + n)), k + m * n + n)

function spiral!(du, u, p, t)
    W, b, k = layer(p, 0, 2, 50)
    V, c, _ = layer(p, k, 50, 2)
    du .= V * tanh.(W * u .^ 3 .+ b) .+ c
    return nothing
end

function universal!(du, u, p, t)
    W, b, k = layer(p, 2, 2, 16)
    V, c, k = layer(p, k, 16, 16)
    X, d, _ = layer(p, k, 16, 2)
    y = X * tanh.(V * tanh.(W * u .+ b) .+ c) .+ d
    du[1] = p[1] * u[1] + y[1]
    du[2] = -p[2] * u[2] + y[2]
    return nothing
end

function hamiltonian!(du, u, p, t) # the gradient of a network of two hidden layers, by hand
    W, b, k = layer(p, 0, 2, 32)
    V, c, k = layer(p, k, 32, 32)
    X, _, _ = layer(p, k, 32, 1)
    g = tanh.(W * u .+ b)
    h = tanh.(V * g .+ c)
    slope = W' * ((V' * (vec(X) .* (1 .- h .^ 2))) .* (1 .- g .^ 2))
    du[1] = slope[2]
    du[2] = -slope[1]
    return nothing
end

const f! = Dict("spiral" => spiral!, "universal" => universal!, "hamiltonian" => hamiltonian!)[model]
const problem = ODEProblem(f!, u0, span, start)

"The loss over the first `n` data."
function loss_of(sensealg, n)
    seen = data[:, 1:n]
    return function (p, _)
        y = Array(solve(problem, Tsit5(); p, saveat = times[1:n], reltol = 1.0e-6, abstol = 1.0e-8, sensealg))
        size(y) == size(seen) || return Inf # it blew up
        return sum(abs2, (y .- seen) ./ scale) / length(seen)
    end
end

const WAYS = [
    "interpolating" => InterpolatingAdjoint(autojacvec = ReverseDiffVJP(true)),
    "gauss" => GaussAdjoint(autojacvec = ReverseDiffVJP(true)),
    "quadrature" => QuadratureAdjoint(autojacvec = ReverseDiffVJP(true)),
]

"The quickest way to gradients, and what compiling took."
function choose_way()
    began, best = time(), (Inf, "", nothing)
    for (name, way) in WAYS
        loss = loss_of(way, length(times))
        Zygote.gradient(p -> loss(p, nothing), start)
        took = minimum(@elapsed(Zygote.gradient(p -> loss(p, nothing), start)) for _ in 1:5)
        took < best[1] && (best = (took, name, way))
    end
    return best[2:3]..., time() - began
end

"Seconds and iterations until the target, nothing if it isn't reached in `most` seconds."
function train(sensealg, rate, is_short, has_polish, most)
    n, x, steps, arrived = length(times), copy(start), 0, false
    short = count(t -> t <= span[1] + 0.1 * (span[2] - span[1]), times)
    began = time()
    function run(n, x, rule, maxiters)
        f = OptimizationFunction(loss_of(sensealg, n), Optimization.AutoZygote())
        callback(state, value) = (steps += 1; arrived = n == length(times) && value <= target; arrived || time() - began > most)
        return Optimization.solve(OptimizationProblem(f, x), rule; maxiters, callback).u
    end
    is_short && (x = run(short, x, OptimizationOptimisers.Adam(rate), 500))
    x = run(n, x, OptimizationOptimisers.Adam(rate), has_polish ? 300 : 5000)
    has_polish && !arrived && time() - began < most && run(n, x, OptimizationOptimJL.LBFGS(), 2000)
    return arrived ? (time() - began, steps) : nothing
end

function main()
    name, way, compiling = choose_way()
    train(way, 0.01, true, true, 0.5) # compiles
    began, best = time(), Inf
    for (rate, has_polish, is_short) in Iterators.product((0.01, 0.003, 0.03), (true, false), (false, true))
        left = budget - (time() - began)
        left > 0 || break
        found = try
            train(way, rate, is_short, has_polish, min(best, limit, left))
        catch # a line search from which nothing can be solved
            nothing
        end
        found === nothing && continue
        best = min(best, found[1])
        println("arrived;", found[1], ";", found[2], ";", compiling, ";", name, has_polish ? ", L-BFGS" : "", ", ", rate)
    end
    return
end

main()
