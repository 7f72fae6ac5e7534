# Initial-value problems.

"Raised by Python to stop a solve or fit: 0 or 1. Atomic, since another thread writes it through its address."
const INTERRUPT = Threads.Atomic{Int}(0)

"Written for Python to read: iteration, number of iterations, loss, horizon of a fit; time of a solve."
const PROGRESS = zeros(Float64, 8)

is_interrupted() = INTERRUPT[] != 0

"Which members of the default algorithm have taken a step of the present solve."
const MEMBERS_USED = zeros(Bool, length(DEFAULT_MEMBERS))

note_member(cache) = nothing
note_member(cache::OrdinaryDiffEqCore.DefaultCache) = (MEMBERS_USED[cache.current] = true; nothing)

"""
The multistep member that the default algorithm has switched to, or nothing. FBDF does not survive the switch: it
begins without the history that its formulas and error estimate rest on, and the heat equation then ends 1 % off at a
tolerance of 1e-6 (OrdinaryDiffEqDefault 1.14, BDF 1.26). So the switch ends the solve, and FBDF solves from the start.
"""
multistep_member() = MEMBERS_USED[5] ? 5 : MEMBERS_USED[6] ? 6 : nothing

"After each step: note where the solve is, and stop if the flag is up."
function watch(u, t, integrator)
    note_member(integrator.cache)
    PROGRESS[5] = value(t)
    return is_interrupted() || multistep_member() !== nothing
end

const WATCH = DiscreteCallback(watch, terminate!; save_positions = (false, false))

const HUGE_ERROR = 1.0e9

"The solvers' norm, in which NaN is huge: a trial step outside the model's domain is a rejected step."
function nan_norm(u, t)
    size = ODE_DEFAULT_NORM(u, t)
    return isfinite(size) ? size : oftype(size, HUGE_ERROR)
end

"What a solve is asked, beside the problem and the algorithm."
struct Options
    rtol::Float64
    atol::Float64
    dt::Float64 # 0: the method chooses
    dtmax::Float64 # 0: the span
    max_steps::Int
    tstops::Vector{Float64}
end

function solve_problem(problem, algorithm, options::Options; saveat = Float64[], dense = false, everystep = isempty(saveat))
    solution = run_solver(problem, algorithm, options, saveat, dense, everystep)
    member = multistep_member()
    (member === nothing || is_interrupted()) && return solution
    solution = run_solver(problem, algorithm.algs[member], options, saveat, dense, everystep)
    MEMBERS_USED[member] = true
    return solution
end

"""
Times that a step must end on. The interpolants of the SDIRK methods are of order 3, and their steps so long that a value
between two of them is wrong by many tolerances; so those of higher order step onto the save times.
"""
stop_times(algorithm, options, saveat) = options.tstops
stop_times(::Union{KenCarp4, KenCarp5, Kvaerno4, Kvaerno5}, options, saveat) = vcat(options.tstops, saveat)

"What limits and controls steps, forwards and backwards in time."
function step_options(options, span)
    dt = options.dt > 0 ? (dt = options.dt,) : NamedTuple()
    dtmax = options.dtmax > 0 ? options.dtmax : span
    return (; dt..., dtmax, reltol = options.rtol, abstol = options.atol, maxiters = options.max_steps, verbose = false)
end

function run_solver(problem, algorithm, options, saveat, dense, everystep)
    fill!(MEMBERS_USED, false)
    return solve(
        problem, algorithm;
        step_options(options, problem.tspan[2] - problem.tspan[1])..., tstops = stop_times(algorithm, options, saveat),
        saveat, dense, save_everystep = everystep, internalnorm = nan_norm, callback = WATCH,
    )
end

"Rows of a solution at its save times, or at all of its steps: the ones that were reached."
function reached_rows(solution, saveat)
    isempty(saveat) && return length(solution.t)
    rows = 0
    while rows < min(length(solution.t), length(saveat)) && solution.t[rows + 1] == saveat[rows + 1]
        rows += 1
    end
    return rows
end

"The members of the default algorithm that took steps in the last solve; the word itself for any other."
members_used(word) = word == "auto" ? join(unique(DEFAULT_MEMBERS[findall(MEMBERS_USED)]), ", ") : word

"Steps tried, steps rejected, evaluations of the right-hand side and of its Jacobian, linear solves."
statistics(stats) = (stats.naccept + stats.nreject, stats.nreject, stats.nf, stats.njacs, stats.nsolve)
