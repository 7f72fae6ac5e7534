# The training loop: stages of Adam and LBFGS over growing stretches of the data.

"One stretch of a fit: an optimizer over the first `rows` times of each part, the weights multiplied by `factor`."
struct Stage
    optimizer::String
    steps::Int
    learning_rate::Float64
    rows::Vector{Int}
    factor::Float64
    horizon::Float64
end

"What a fit has done so far; `best` is the lowest value of the present stage."
mutable struct Fit
    const objective::Union{Objective, ObjectiveSum}
    const started::Float64
    const total::Int
    const history::Vector{NTuple{4, Float64}} # loss, gradient norm, horizon, seconds
    const is_auto::Bool
    best_x::Vector{Float64}
    best::Float64
end

const LOOK_AGAIN = 100

"""
    run_fit(objective, stages, x, is_auto)

Minimise an objective stage by stage from `x`. Rejected trials have the loss NaN in the history.
"""
function run_fit(o, stages, x, is_auto)
    fit = Fit(o, time(), sum(stage.steps for stage in stages; init = 0), [], is_auto, copy(x), Inf)
    for stage in stages
        use_rows!(o, stage.rows, stage.factor)
        start = copy(fit.best_x)
        fit.best = Inf
        stage.optimizer == "adam" ? run_adam!(fit, stage, start) : run_lbfgs!(fit, stage, start)
        is_interrupted() && break
    end
    return fit
end

"Value and gradient at x; keeps the best."
function try_point!(fit, x)
    value, gradient = objective_gradient(fit.objective, x)
    if isfinite(value) && value < fit.best
        fit.best = value
        fit.best_x = copy(x)
    end
    return value, gradient
end

"Note one iteration, tell Python where the fit is, and look again whether the problem is stiff."
function note!(fit, value, gradient_norm, stage, x)
    push!(fit.history, (value, gradient_norm, stage.horizon, time() - fit.started))
    n = length(fit.history)
    PROGRESS[1], PROGRESS[2], PROGRESS[3], PROGRESS[4] = n, fit.total, value, stage.horizon
    if fit.is_auto && n % LOOK_AGAIN == 0
        look_again!(fit.objective, x)
    end
    return nothing
end

function run_adam!(fit, stage, x)
    rate = stage.learning_rate
    state = Optimisers.setup(Optimisers.Adam(rate), x)
    for _ in 1:(stage.steps)
        is_interrupted() && return
        value, gradient = try_point!(fit, x)
        is_interrupted() && return
        note!(fit, value, norm(gradient), stage, x)
        if isfinite(value)
            state, x = Optimisers.update(state, x, gradient)
        else
            rate /= 2
            Optimisers.adjust!(state, rate)
            x = copy(fit.best_x)
        end
    end
    try_point!(fit, x)
    return
end

"LBFGS; a line search that fails begins again from the best point, first with the memory cleared, then by backtracking."
function run_lbfgs!(fit, stage, x)
    left = stage.steps
    for search in (LineSearches.HagerZhang(), LineSearches.HagerZhang(), LineSearches.BackTracking(order = 3))
        before = fit.best
        left -= run_lbfgs!(fit, stage, isfinite(before) ? copy(fit.best_x) : x, left, search)
        (left <= 0 || is_interrupted() || !isfinite(fit.best)) && return
    end
    return
end

function run_lbfgs!(fit, stage, x, steps, search)
    done = -1 # the callback is called once before the first step
    function fg!(F, G, x)
        value, gradient = is_interrupted() ? (NaN, fill(NaN, length(x))) : try_point!(fit, x)
        G === nothing || copyto!(G, gradient)
        return isfinite(value) ? value : Inf
    end
    function callback(state)
        done += 1
        done > 0 && !is_interrupted() && note!(fit, state.f_x, norm(state.g_x), stage, state.x)
        return is_interrupted()
    end
    options = Optim.Options(; iterations = steps, callback, g_abstol = 1.0e-10, show_warnings = false)
    try
        Optim.optimize(Optim.NLSolversBase.only_fg!(fg!), x, Optim.LBFGS(linesearch = search), options)
    catch error
        error isa Union{AssertionError, ErrorException, LineSearches.LineSearchException} || rethrow()
    end
    return max(done, 0)
end
