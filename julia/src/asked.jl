# Solves as Python asks for them, once or again and again, and objectives: what is asked again is prepared, and its numbers cross by
# memory that both sides know.

"""
A solve that may be asked with many initial values and parameters, the words that ran in the last one, if that succeeded, and what
is asked and found again: initial states and parameters; states at save times, and statistics.
"""
mutable struct Prepared
    const worker::Worker
    const span::NTuple{2, Float64}
    const spec::String
    ran::String
    const given::Vector64
    const found::Vector64
    const counts::Vector{Int}
end

"""
    prepare_solve(program, n, t0, t1, spec, saveat, options...)

A solve of `n` states without its initial values and parameters: what does not depend on these is made once.
"""
function prepare_solve(
        program, n, t0, t1, spec, saveat, rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive = true,
        mass_matrix = nothing, events = nothing
    )
    f = with_mass(RightHandSide(program), mass_matrix)
    events = something(events, NO_EVENTS)
    options = make_options(rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive, events)
    worker = make_worker(f, options, floats(saveat), Int(n))
    return Prepared(worker, (Float64(t0), Float64(t1)), string(spec), "", Vector64(), Vector64(), collect(NOTHING_DONE))
end

"""
    solve_request(program, u0, p, t0, t1, spec, saveat, options...)

Solve one initial-value problem: times, states `(state, time)`, the name of the return code, the members that ran, the
error's text if the solver threw one, statistics, and where a solve that failed stood: time and state, else nothing. If there are
events, also of each firing the time, the event (from 0), and the parameters that events change.
"""
solve_request(program, u0, p, arguments...) = solve_values(prepare_solve(program, length(u0), arguments...), floats(u0), floats(p))

"""
The same prepared for `ask_again`, its answer, and where what it is given, finds and counts is for as long as it is there.
"""
function solve_and_keep(program, u0, p, arguments...)
    prepared = prepare_solve(program, length(u0), arguments...)
    (; worker, given, found, counts) = prepared
    resize!(given, length(u0) + length(p))
    resize!(found, length(worker.rows.u))
    answer = solve_like_last!(prepared, floats(u0), floats(p))
    return prepared, answer, Int(pointer(given)), Int(pointer(found)), Int(pointer(counts))
end

"The answer of a prepared solve for what it was given; nothing where that differs from the last in numbers only: they are what it found."
function ask_again(prepared::Prepared)
    n = size(prepared.worker.rows.u, 1)
    return solve_like_last!(prepared, prepared.given[1:n], prepared.given[(n + 1):end])
end

function solve_like_last!(prepared, u0, p)
    answer = _, u, name, ran, _, counts, _ = solve_values(prepared, u0, p)
    (; rows, options) = prepared.worker
    is_success = name == "Success"
    is_like_last = is_success && ran == prepared.ran && rows.is_used && rows.n == length(rows.times) && isempty(options.events)
    prepared.ran = is_success ? ran : ""
    is_like_last || return answer
    copyto!(prepared.found, u)
    copyto!(prepared.counts, counts)
    return nothing
end

"`solve_request`'s answer for the first column of initial states and parameters, and for others that are like the last what is found."
function solve_requests(program, u0, p, arguments...)
    prepared = prepare_solve(program, size(u0, 1), arguments...)
    resize!(prepared.found, length(prepared.worker.rows.u))
    own(answer) = map(x -> x isa Array ? copy(x) : x, answer) # the next one writes to these
    own(::Nothing) = copy(prepared.found), copy(prepared.counts)
    return Any[own(solve_like_last!(prepared, u0[:, k], p[:, k])) for k in axes(u0, 2)]
end

function solve_values(prepared::Prepared, u0, p)
    (; worker, span, spec) = prepared
    (; rows, options) = worker
    t, u, code, counts, text = try
        outcome(solve_worker!(worker, spec, u0, p, span))..., ""
    catch error
        code = thrown_code(error)
        code === nothing && rethrow()
        saved_rows(get_integrator(), span[1], u0)..., code, NOTHING_DONE, error_text(error)
    end
    t, u = rows.is_used ? reached_rows(rows) : as_columns(t, u, reached_rows(t, rows.times), length(u0))
    name, stop = ending(code, take_integrator(), span[1], u0)
    answer = (t, u, name, members_used(spec, options.rtol, length(u0)), text, collect(counts), stop)
    return isempty(options.events) ? answer : add_firings(answer, options.events)
end

function add_firings((t, u, rest...), events)
    n = events.is_over ? searchsortedlast(t, events.times[end]) : length(t)
    parameters = reshape(copy(events.parameters), length(events.changed), length(events.fired)) # a call may be made again
    return t[1:n], put_samples!(u[:, 1:n], t, events), rest..., events.times, events.fired .- 1, parameters
end

"The first `n` of some times, and of vectors as the columns of a matrix."
function as_columns(times, vectors::Vector{Vector64}, n, n_rows)
    u = Matrix{Float64}(undef, n_rows, n)
    for k in 1:n
        copyto!(u, (k - 1) * n_rows + 1, vectors[k], 1, n_rows)
    end
    return times[1:n], u
end

"An objective that is asked at many x, and what is found: its value and, if there is room for it, its gradient."
struct PreparedObjective
    objective::Union{Objective, ObjectiveSum}
    x::Vector64
    value::Vector64
    gradient::Vector64
end

"""
    prepare_objective(objective, n, wants_gradient)

An objective of `n` numbers prepared for `ask_again`, and where these, the value and the gradient are for as long as it is there.
"""
function prepare_objective(objective, n, wants_gradient)
    prepared = PreparedObjective(objective, zeros(n), zeros(1), zeros(wants_gradient ? n : 0))
    return prepared, Int(pointer(prepared.x)), Int(pointer(prepared.value)), Int(pointer(prepared.gradient))
end

function ask_again((; objective, x, value, gradient)::PreparedObjective)
    value[1] = isempty(gradient) ? objective_value(objective, x) : objective_gradient!(gradient, objective, x)
    return nothing
end
