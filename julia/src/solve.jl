# Initial-value problems.

"Written for Python to read: iteration, number of iterations, best loss, gradient norm of a stage; time of a solve."
const PROGRESS = zeros(Float64, 8)

"After each step: note where the solve is, and stop if the flag is up."
function watch(u, t, integrator)
    note_member(integrator)
    if !IS_SHARED[]
        PROGRESS[5] = value(t)
        SINCE_STEP[] = 0
    end
    return is_interrupted() || is_overdue() || is_multistep_due(length(u))
end

"""
What is looked at and recorded after each step, and what is then done. One type with and without events, so that these
compile no solver.
"""
struct Watch
    events::Events
    record::Union{Nothing, Path, Rows}
end

struct Act
    events::Events
end

"Steps that are recorded are reversed by their stages."
function is_looked_into(look::Watch, time)
    isempty(look.events) || return true
    look.record isa Rows && return look.record.next <= time
    return !(look.record isa Path)
end

function (look::Watch)(u, t, integrator)
    must_stop = watch(u, t, integrator) || (!isempty(look.events) && must_act!(look.events, integrator))
    look.record === nothing || add_step!(look.record, integrator, look.events.is_cut)
    return must_stop
end

function start_watch(callback, u, t, integrator)
    keep_integrator(integrator)
    callback.condition.record isa Rows && start_rows!(callback.condition.record, u, t)
    return nothing
end

(act::Act)(integrator) = any(act.events.fires) ? apply_events!(act.events, integrator) : terminate!(integrator)

make_watch(events, record) =
    DiscreteCallback(Watch(events, record), Act(events); initialize = start_watch, save_positions = (false, false))

const NO_EVENTS = Events()

const HUGE_ERROR = 1.0e9

"""
The solvers' norm, in which NaN is huge: a trial step outside the model's domain is a rejected step. Of a state that is several lanes
wide it is the largest of the lanes' own: the worst of them decides on steps.
"""
struct Norm <: Function # which broadcasts take for one thing
    sums::Vector64 # one a lane; none: a state is one
end

Norm() = Norm(Vector64())

(norm::Norm)(u::Float64, t) = abs(u) # of one element; where it is NaN, so is what is made of it

function (norm::Norm)(u, t)
    size = u isa Vector64 && !isempty(norm.sums) ? largest_norm!(norm.sums, u) : ODE_DEFAULT_NORM(u, t)
    return isfinite(size) ? size : oftype(size, HUGE_ERROR)
end

function largest_norm!(sums, u)
    fill!(sums, 0.0)
    n = length(sums)
    for first in 0:n:(length(u) - n)
        @inbounds @simd ivdep for lane in 1:n
            sums[lane] += abs2(u[first + lane])
        end
    end
    largest = total = 0.0
    @inbounds @simd for lane in 1:n
        largest = ifelse(sums[lane] > largest, sums[lane], largest)
        total += sums[lane]
    end
    return isfinite(total) ? sqrt(largest * n / length(u)) : NaN
end

"What a solve is asked, beside the problem and the algorithm."
struct Options
    rtol::Float64
    atol::Float64
    dt::Float64 # 0: the method chooses
    dtmax::Float64 # 0: the span
    max_steps::Int
    max_seconds::Float64 # Inf: any
    tstops::Vector{Float64} # times that a step must end on
    adaptive::Bool # false: the steps are dt, errors are not estimated
    events::Events
    norm::Norm
end

"""
A problem without its sparse matrix: what methods for full matrices get, and what the automatic choice begins with, which
so always sees problems of one type, for which it is compiled already. What it does with a sparse one is solved again
anyway.
"""
function full_problem(problem)
    f = problem.f
    f.jac_prototype === nothing && return problem
    mass_matrix = f.mass_matrix isa AbstractMatrix ? Matrix(f.mass_matrix) : f.mass_matrix
    plain = ODEFunction{true, SciMLBase.FullSpecialize}(
        f.f; mass_matrix, f.jac, f.tgrad, f.jvp, f.vjp, f.vjp_p
    )
    return ODEProblem{true}(plain, problem.u0, problem.tspan, problem.p)
end

"""
A solution by the algorithm of a spec, solved in the newest world: packages may just have come. It holds states at the times
`saveat`, or at its steps; what goes to a `record` (rows: if `is_used`) it does not hold. Its integrator is `kept` where one can be.
"""
function solve_problem(
        problem, spec, options::Options; record = nothing, saveat = Float64[], dense = false, everystep = isempty(saveat), kept = nothing
    )
    start_solve!(spec, options, length(problem.u0))
    problem, start = begin_problem(problem)
    run(problem, algorithm) = Base.invokelatest(run_solver, problem, algorithm, start, options, record, saveat, dense, everystep, kept)
    if spec != "auto"
        algorithm = make_algorithm(complete_spec(spec, problem))
        return run(guard(prepare_problem(problem, algorithm), algorithm), algorithm)
    end
    n = length(problem.u0)
    solution = run(full_problem(problem), automatic_algorithm(options.rtol, n))
    return is_multistep_due(n) && !is_interrupted() && !notes().is_overdue ? run_multistep(run, problem) : solution
end

"Forget the solve before."
function start_solve!(spec, options, n_states)
    take_integrator()
    own = notes()
    fill!(own.members, false)
    own.is_automatic = spec == "auto"
    own.is_zeno = false
    start_limit!(options.max_seconds)
    forget!(options.events)
    set_threads(n_states)
    return nothing
end

"The automatic choice for many states of a stiff problem, from the start."
function run_multistep(run, problem)
    algorithm = multistep_algorithm(problem)
    fill!(notes().members, false)
    solution = run(problem, algorithm)
    notes().members[2] = true
    return solution
end

"What limits and controls steps, forwards and backwards in time."
function step_options(options, span)
    dt = options.dt > 0 ? (dt = options.dt,) : NamedTuple()
    dtmax = options.dtmax > 0 ? options.dtmax : span
    return (;
        dt..., dtmax, reltol = options.rtol, abstol = options.atol, maxiters = options.max_steps, verbose = false,
    )
end

const OrdinaryAlgorithm =
    Union{OrdinaryDiffEqCore.OrdinaryDiffEqAlgorithm, OrdinaryDiffEqCore.OrdinaryDiffEqCompositeAlgorithm}

"What Sundials does not know."
own_keywords(algorithm, options, initializealg, saves) = NamedTuple()
own_keywords(::OrdinaryAlgorithm, options, initializealg, (save_start, save_end)) =
    (; internalnorm = options.norm, options.adaptive, initializealg, save_start, save_end)

function run_solver(problem, algorithm, start, options, record, saveat, dense, everystep, kept)
    # a solve backwards can't begin with a step onto the end
    tstops = filter(t -> nextfloat(t) < problem.tspan[2], options.tstops)
    if !isempty(options.events)
        start!(options.events, problem.u0, problem.p, problem.tspan)
        tstops = vcat(tstops, stop_times(options.events))
    end
    if record isa Rows && !isempty(record.times)
        record.is_used = algorithm isa OrdinaryAlgorithm
        record.is_used || (saveat = record.times)
        everystep = false
    end
    is_all = everystep || dense
    saves = (is_all || problem.tspan[1] in saveat, is_all || problem.tspan[2] in saveat) # no closure: it would box these
    keywords = (;
        step_options(options, problem.tspan[2] - problem.tspan[1])..., tstops, saveat, dense, save_everystep = everystep,
        callback = make_watch(options.events, record isa Rows && !record.is_used ? nothing : record),
        own_keywords(algorithm, options, start, saves)...,
    )
    return kept !== nothing && !is_all && can_keep(problem, algorithm) ? solve_first!(kept, problem, algorithm, keywords) :
        solve(problem, algorithm; keywords...)
end

"Rows of a solution at its save times, or at all of its steps: the ones that were reached."
function reached_rows(t, saveat)
    isempty(saveat) && return length(t)
    rows = 0
    while rows < min(length(t), length(saveat)) && t[rows + 1] == saveat[rows + 1]
        rows += 1
    end
    return rows
end

const Outcome = Tuple{Vector64, Vector{Vector64}, ReturnCode.T, NTuple{5, Int}}

"""
What is told of a solution of any type: its times and states, how it ended, and steps tried, steps rejected, evaluations of the
right-hand side and of its Jacobian, linear solves.
"""
outcome(solution)::Outcome = (solution.t, solution.u, solution.retcode, statistics(solution.stats))
statistics(stats) = (stats.naccept + stats.nreject, stats.nreject, stats.nf, stats.njacs, stats.nsolve)
const NOTHING_DONE = (0, 0, 0, 0, 0)
