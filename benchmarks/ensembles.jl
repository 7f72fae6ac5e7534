# Hand-written Julia of `ensembles.py`: static models compiled into the solver, EnsembleThreads, one row of results a tolerance.
# `julia --threads=auto --project=... ensembles.jl CASE N REFERENCES`

using OrdinaryDiffEqRosenbrock, OrdinaryDiffEqTsit5, SciMLBase, StaticArrays

lorenz(u, p, t) = SVector(10 * (u[2] - u[1]), u[1] * (p - u[3]) - u[2], u[1] * u[2] - 8 / 3 * u[3])
function robertson(u, p, t)
    r1, r2, r3 = p * u[1], 3.0e7 * u[2]^2, 1.0e4 * u[2] * u[3]
    return SVector(r3 - r1, r1 - r2 - r3, r2)
end

const CASES = (
    lorenz = (lorenz, Tsit5(), 10.0, 1.0e-2, n -> range(5.0, 28.0, n)),
    robertson = (robertson, Rodas5P(), 1.0e5, 1.0e-4, n -> 10 .^ range(-3.0, -1.0, n)),
)

function main(name, n, file)
    f, method, t_end, atol, values = getfield(CASES, Symbol(name))
    exact = reshape(reinterpret(Float64, read(file)), 3, :)
    p = collect(values(n))
    problem = ODEProblem{false}(f, SVector(1.0, 0.0, 0.0), (0.0, t_end), p[1])
    ensemble = EnsembleProblem(
        problem; prob_func = (problem, k, _) -> remake(problem; p = p[k]), output_func = (s, _) -> (s.u[end], false),
        safetycopy = false
    )
    places = round.(Int, range(1, n, size(exact, 2)))
    for rtol in (1.0e-5, 1.0e-6, 1.0e-7)
        run() = solve(
            ensemble, method, EnsembleThreads(); trajectories = n, reltol = rtol, abstol = rtol * atol, save_everystep = false
        )
        found = run()
        seconds = minimum(@elapsed(run()) for _ in 1:(n < 100_000 ? 5 : 1))
        errors = [maximum(abs.(found.u[k] .- e) ./ (1.0e-6 .* (atol .+ abs.(e)))) for (k, e) in zip(places, eachcol(exact))]
        println(rtol, ' ', seconds, ' ', sort(errors)[ceil(Int, 0.9 * length(errors))])
    end
    return nothing
end

main(ARGS[1], parse(Int, ARGS[2]), ARGS[3])
