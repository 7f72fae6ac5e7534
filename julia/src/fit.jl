# A stage of a fit: an optimizer that asks for values and gradients. `pysciml/engines/fit.py` runs stage after stage.

"""
What a stage is told: `rates`, one a step, the longest gradient `clip`, `decay`, one an element of x, and `batches` are for
first-order ones. A column of `batches` holds the places of the parts that an evaluation sees, or zeros: all. Empty: all do.
"""
struct Stage
    optimizer::String
    steps::Int
    rates::Vector{Float64}
    clip::Float64
    decay::Vector{Float64}
    batches::Matrix{Int}
    path::String # of the files that a killed stage goes on from, their endings left out; "": there are none
end

"What a stage has done so far; `best_x` is where its lowest value is."
mutable struct Fit
    const objective::Union{Objective, ObjectiveSum}
    const stage::Stage
    const is_auto::Bool
    started::Float64
    const history::Vector{Vector{Float64}} # loss, gradient norm, seconds, trials rejected, why, penalties
    best_x::Vector{Float64}
    best::Float64
    best_gradient::Vector{Float64}
    looked::Vector{Float64} # where "auto" was last decided
    rejected::Int # trials since the last iteration
    in_a_row::Int # trials rejected, up to now
    why::Int
    journal::Union{Nothing, Journal}
    trouble::String
end

const LOOK_AGAIN = 100
const MOST_REJECTED = 30
const SAVE_SECONDS = Ref(1.0)

"So many trials in a row were rejected that the stage ends."
struct GivenUp <: Exception end

"""
    run_stage(objective, stage, x, is_auto)

Minimise an objective from `x`: the fit, and how it ended (`"done"`, `"interrupted"`, `"no start"`, `"given up"`, `"foreign"`).
"""
function run_stage(objective, stage, x, is_auto)
    n = length(x)
    fit = Fit(objective, stage, is_auto, time(), [], copy(x), Inf, zeros(n), copy(x), 0, 0, 0, nothing, "")
    fill!(view(PROGRESS, 1:4), 0.0)
    use_batch!(objective, Int[])
    look!(fit, x)
    ending = try
        if haskey(FIRST_ORDER, stage.optimizer)
            run_first_order!(fit, copy(x))
        else
            isempty(stage.path) || (fit.journal = Journal(stage.path * ".journal", n))
            run_quasi_newton!(fit, copy(x))
        end
        is_interrupted() ? "interrupted" : isfinite(fit.best) ? "done" : "no start"
    catch error
        error isa Union{GivenUp, ForeignJournal} || rethrow()
        error isa GivenUp ? "given up" : "foreign"
    finally
        fit.journal === nothing || close(fit.journal)
    end
    fit.journal === nothing || (fit.trouble = fit.journal.trouble)
    return fit, ending
end

"Value and gradient at x; keeps the best, counts what is rejected."
function try_point!(fit, x)
    value, gradient = answer!(() -> objective_gradient(fit.objective, x), fit.journal, x)
    is_interrupted() && return NaN, gradient
    if !isfinite(value)
        fit.rejected += 1
        fit.in_a_row += 1
        fit.why = why_failed(fit.objective, x)
        fit.in_a_row > MOST_REJECTED && isfinite(fit.best) && throw(GivenUp())
        return value, gradient
    end
    fit.in_a_row = 0
    if value < fit.best && is_whole(fit.objective)
        fit.best = value
        fit.best_x = copy(x)
        fit.best_gradient = copy(gradient)
    end
    return value, gradient
end

"The place of a solve's return code, of one that fails at x, in `return_codes()`, counted from 1; 0: only the gradient fails."
function why_failed(o::Objective, x)
    u0, p = parametrize(o, x)
    all(isfinite, u0) && all(isfinite, p) || return code_place("Unstable")
    problem, t1 = make_problem(o.f, u0, p, (o.t0, last_time(o))), last_time(o)
    name = try
        solution = solve_problem(problem, o.word, o.options; saveat = [t1])
        ending(solution.retcode, take_integrator(), o.t0, u0)[1]
    catch error
        code = thrown_code(error)
        code === nothing && rethrow()
        return_name(code)
    end
    return name in ("Success", "Default") ? 0 : code_place(name)
end

"Of the first part that fails."
function why_failed(o::ObjectiveSum, x)
    for (part, picks) in zip(o.parts, o.picks)
        part.rows > 0 || continue
        isfinite(objective_value(part, x[picks])) || return why_failed(part, x[picks])
    end
    return 0
end

"How many numbers are noted of an iteration."
columns(fit) = 5 + n_added(fit.objective)

code_place(name) = findfirst(==(name), return_codes())

"Note one iteration, tell Python where the fit is, and look again whether the problem is stiff."
function note!(fit, value, gradient_norm, x)
    why = fit.rejected == 0 ? 0 : fit.why
    push!(fit.history, [value, gradient_norm, time() - fit.started, fit.rejected, why, added_values(fit.objective, x)...])
    fit.rejected = 0
    n = length(fit.history)
    PROGRESS[2], PROGRESS[3], PROGRESS[4], PROGRESS[1] = fit.stage.steps, fit.best, gradient_norm, n
    n % LOOK_AGAIN == 0 && look!(fit, x)
    return nothing
end

"Decide what \"auto\" is at x."
function look!(fit, x)
    fit.is_auto || return nothing
    fit.looked = copy(x)
    return look_again!(fit.objective, x)
end

# ---- first order

"""
Lion (Chen et al. 2023, doi:10.48550/arXiv.2302.06675). In Optimisers 0.4.8's own the two weights of the running mean are
exchanged, so that it has next to no memory.
"""
struct Lion <: Optimisers.AbstractRule end

Optimisers.init(::Lion, x::AbstractArray) = zero(x)

function Optimisers.apply!(::Lion, mean, x, dx)
    direction = sign.(0.9 .* mean .+ 0.1 .* dx)
    mean .= 0.99 .* mean .+ 0.01 .* dx
    return mean, direction
end

const FIRST_ORDER = Dict{String, Any}(
    "adam" => () -> Optimisers.Adam(1.0),
    "lion" => Lion,
    "rmsprop" => () -> Optimisers.RMSProp(1.0, 0.9, 1.0e-8),
)

"Steps of an optimizer of Optimisers.jl; from a failed one back to the best, with half the rate and no memory."
function run_first_order!(fit, x)
    stage = fit.stage
    rule = FIRST_ORDER[stage.optimizer]()
    state, scale = Optimisers.init(rule, x), 1.0
    saved = isempty(stage.path) ? nothing : read_numbers(stage.path * ".state")
    if saved === nothing
        use_batch!(fit, 0)
        value, gradient = try_point!(fit, x)
        isfinite(value) || return
    else
        x, gradient, scale = restore!(fit, saved)
        state = fill_state(state, Iterators.Stateful(saved[6]))
    end
    last_save = time()
    for step in (length(fit.history) + 1):(stage.steps)
        is_interrupted() && return
        rate = scale * stage.rates[step]
        state, direction = Optimisers.apply!(rule, state, x, clip_gradient(gradient, stage.clip))
        next = x .- rate .* direction
        isempty(stage.decay) || (next .-= rate .* stage.decay .* x)
        use_batch!(fit, step)
        value, slope = try_point!(fit, next)
        is_interrupted() && return
        note!(fit, value, norm(slope), next)
        if isfinite(value)
            x, gradient = next, slope
        else
            x, gradient, scale = copy(fit.best_x), fit.best_gradient, scale / 2
            state = Optimisers.init(rule, x)
        end
        if !isempty(stage.path) && isempty(fit.trouble) && time() > last_save + SAVE_SECONDS[]
            fit.trouble = save(fit, x, gradient, scale, state)
            last_save = time()
        end
    end
    return
end

"Look at the parts of an evaluation, counted from 0."
function use_batch!(fit::Fit, evaluation)
    isempty(fit.stage.batches) || use_batch!(fit.objective, filter(>(0), fit.stage.batches[:, evaluation + 1]))
    return nothing
end

function clip_gradient(gradient, longest)
    length = norm(gradient)
    return length > longest ? gradient .* (longest / length) : copy(gradient)
end

"Everything that a first-order stage goes on from."
function save(fit, x, gradient, scale, state)
    numbers = [fit.best, scale, fit.in_a_row, fit.why, time() - fit.started]
    rows = collect(Float64, Iterators.flatten(fit.history))
    vectors = [numbers, x, gradient, [fit.best_x; fit.best_gradient], fit.looked, flat_state(state), rows]
    return write_numbers(fit.stage.path * ".state", vectors)
end

"Where `save` left off: x, its gradient, and what rates are multiplied by."
function restore!(fit, (numbers, x, gradient, best, looked, state, rows))
    fit.best, scale, fit.in_a_row, fit.why, seconds = numbers
    fit.started = time() - seconds
    fit.best_x, fit.best_gradient = best[1:length(x)], best[(length(x) + 1):end]
    append!(fit.history, Iterators.map(collect, Iterators.partition(rows, columns(fit))))
    look!(fit, looked)
    return x, gradient, scale
end

flat_state(x::Real) = Float64[x]
flat_state(x::AbstractArray) = vec(Float64.(x))
flat_state(x::Tuple) = reduce(vcat, map(flat_state, x); init = Float64[])

"A state like the first, with the next numbers."
fill_state(x::Tuple, numbers) = map(y -> fill_state(y, numbers), x)
fill_state(x::AbstractArray, numbers) = map(_ -> popfirst!(numbers), x)
fill_state(x::T, numbers) where {T <: Real} = convert(T, popfirst!(numbers))

# ---- quasi-Newton

const QUASI_NEWTON = Dict{String, Any}(
    "lbfgs" => linesearch -> Optim.LBFGS(; linesearch),
    "bfgs" => linesearch -> Optim.BFGS(; linesearch),
)

"A line search that fails begins again from the best point, first with the memory cleared, then by backtracking."
function run_quasi_newton!(fit, x)
    left = fit.stage.steps
    for search in (LineSearches.HagerZhang(), LineSearches.HagerZhang(), LineSearches.BackTracking(order = 3))
        left -= run_quasi_newton!(fit, isfinite(fit.best) ? copy(fit.best_x) : x, left, search)
        (left <= 0 || is_interrupted() || !isfinite(fit.best)) && return
    end
    return
end

function run_quasi_newton!(fit, x, steps, search)
    done = -1 # the callback is called once before the first step
    function fg!(F, G, x)
        value, gradient = is_interrupted() ? (NaN, fill(NaN, length(x))) : try_point!(fit, x)
        G === nothing || copyto!(G, gradient)
        return isfinite(value) ? value : Inf
    end
    function callback(state)
        done += 1
        done > 0 && !is_interrupted() && note!(fit, state.f_x, norm(state.g_x), state.x)
        return is_interrupted()
    end
    options = Optim.Options(; iterations = steps, callback, g_abstol = 1.0e-10, show_warnings = false)
    method = QUASI_NEWTON[fit.stage.optimizer](search)
    try
        Optim.optimize(Optim.NLSolversBase.only_fg!(fg!), x, method, options)
    catch error
        error isa Union{AssertionError, ErrorException, LineSearches.LineSearchException} || rethrow()
    end
    return max(done, 0)
end
