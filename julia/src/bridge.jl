# With those of `asked.jl` the only functions that Python calls. Arrays come as NumPy's memory or plain vectors; matrices are (state, time).

"A Program of `compile_program`'s arguments, with everything copied out of Python's memory."
function load_program(text, constants, flags, indices, n_numbers, n_flags)
    return compile_program(
        string(text), collect(Float64, constants), collect(Bool, flags), collect(Int, indices),
        Int(n_numbers), Int(n_flags)
    )
end

"A Program together with the one that gives cotangents of its inputs; `blocks` are the fields of each `Block`, one after the other."
function load_pullback(program, pullback, blocks)
    rows = reshape(collect(Int, blocks), 5, :)
    found = Program(pullback.function!, pullback.work, nothing, [Block(row...) for row in eachcol(rows)])
    return Program(program.function!, program.work, found, Block[])
end

"A Program with its products with cotangents by ReverseDiff, whose tape of it `is_kept`, or recorded at each call."
load_taped(program, is_kept) = (load_adjoints(); Program(program.function!, program.work, tape(program, Bool(is_kept)), Block[]))

load_right_hand_side(program) = RightHandSide(program)

"""
    load_model(program, entries, rows, columns, n, is_sparse, time, product, second)

A right-hand side with its derivatives: the Program of its Jacobian's entries (nothing: there is none) at rows and columns
counted from 0, of its slope in time, of its product with a tangent, and of second derivatives where gradients are wanted.
"""
function load_model(program, entries, rows, columns, n, is_sparse, time, product, second = nothing)
    rows, columns = collect(Int, rows) .+ 1, collect(Int, columns) .+ 1
    prototype = Bool(is_sparse) ? sparse(rows, columns, ones(length(rows)), n, n) : nothing
    entries = entries === nothing ? nothing : Generated(entries)
    second = second === nothing ? nothing : GeneratedSecond(second)
    derivatives = Derivatives(entries, rows, columns, prototype, Generated(time), GeneratedProduct(product), second)
    return RightHandSide(program, derivatives)
end

"The same of several lanes, whose derivatives are those of all lanes, each entry of the Jacobian of one lane for all of them."
function load_wide_model(program, entries, rows, columns, n, n_lanes, time, product, second = nothing)
    rows, columns = collect(Int, rows) .+ 1, collect(Int, columns) .+ 1
    prototype = make_lane_matrix(Int(n), Int(n_lanes))
    second = second === nothing ? nothing : GeneratedSecond(second)
    derivatives = Derivatives(Generated(entries), rows, columns, prototype, Generated(time), GeneratedProduct(product), second)
    return RightHandSide(program, derivatives)
end

"Colours of a pattern's columns: see `color_columns`."
color_pattern(starts, rows) = color_columns(collect(Int, starts), collect(Int, rows))

"""
    evaluate(program, output_sizes, input_sizes, values)

All outputs of a Program, one after the other, from all inputs, one after the other; size 0 stands for a scalar input.
"""
function evaluate(program, output_sizes, input_sizes, values)
    values, start = floats(values), 0
    inputs = Any[]
    for size in input_sizes
        push!(inputs, size == 0 ? values[start + 1] : values[(start + 1):(start + size)])
        start += max(size, 1)
    end
    outputs = [zeros(size) for size in output_sizes]
    program(outputs..., inputs...)
    return reduce(vcat, outputs; init = Float64[])
end

"""
    evaluate_derivatives(program, v, u, p, t)

The Jacobian of a right-hand side, its slope in time, and its product with v: generated ones of what `load_model` gave,
dual numbers' of what `load_program` gave.
"""
function evaluate_derivatives(program, v, u, p, t)
    f, u, p, t = RightHandSide(program), floats(u), floats(p), Float64(t)
    problem = make_problem(f, u, p, (t, t + 1))
    prototype = problem.f.jac_prototype
    J = prototype === nothing ? zeros(length(u), length(u)) : similar(prototype)
    Jacobian(f)(J, u, p, t)
    slope, product = similar(u), similar(u)
    problem.f.tgrad(slope, u, p, t)
    problem.f.jvp(product, floats(v), u, p, t)
    return Matrix(J), slope, product
end

floats(x) = collect(Float64, x)

function make_options(
        rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive = true, events = NO_EVENTS, norm = Norm()
    )
    numbers = (Float64(rtol), Float64(atol), Float64(dt), Float64(dtmax), Int(max_steps), Float64(max_seconds))
    return Options(numbers..., floats(tstops), Bool(adaptive), events, norm)
end

make_events() = Events()

"Add one event behind those that are there; `rows` is (column of the effect's last input, time), indices count from 0."
function add_event(events, condition, effect, times, rows, u_index, p_index, is_terminal, direction, is_before)
    indices(x) = collect(Int, x) .+ 1
    event = Event(
        condition, effect, floats(times), collect(Float64, rows), indices(u_index), indices(p_index),
        Bool(is_terminal), Int(direction), Bool(is_before)
    )
    return Events(push!(copy(events.list), event))
end

"""
    solve_ensemble(
        f, wide, n_lanes, has_wide_parameters, mass_matrix, events, u0, p, t0, t1, spec, saveat, n_tasks, leaves_stiff, options...
    )

Solve many trajectories, the columns of `u0` and `p` (one, if all have the same), in some tasks (0: one a thread), as lanes of the right-hand side `wide` where
there is one: states `(state and time, member)`, names of return codes and the place (from 0) of each member's among these,
statistics, one member's after the other, the words that ran, how many tasks and lanes there were, and, if there are events, how
often they fired in each member, when, and which (from 0). Nothing, if it
`leaves_stiff` ones to another call and most of those that the automatic choice looked at first are.
"""
function solve_ensemble(
        f, wide, n_lanes, has_wide_parameters, mass_matrix, events, u0, p, t0, t1, spec, saveat, n_tasks, leaves_stiff, numbers...
    )
    events = something(events, NO_EVENTS)
    e = Ensemble(u0, p, (Float64(t0), Float64(t1)), string(spec), floats(saveat), !isempty(events))
    f = with_mass(f, mass_matrix)
    n_tasks = prepare_tasks(e, f) ? min(n_tasks == 0 ? Threads.nthreads() : Int(n_tasks), length(e.codes)) : 1
    found = solve_all!(e, f, wide, Int(n_lanes), Bool(has_wide_parameters), events, numbers, n_tasks, Bool(leaves_stiff))
    found === nothing && return nothing
    words, n_lanes = found
    ran = sort!(unique!([String(word) for each in words for word in split(each, ", ")]))
    fired = isempty(events) ? () : (length.(first.(e.firings)), reduce(vcat, first.(e.firings)), reduce(vcat, last.(e.firings)) .- 1)
    return e.u, join(RETURN_CODES, ' '), e.codes .- Int32(1), vec(e.counts), join(ran, ", "), n_tasks, n_lanes, fired...
end

"""
    solve_kernels(device, dtype, slope, jacobian, time_slope, words, orders, u0, p, t0, t1, saveat, tstops, numbers...)

Solve many trajectories by functions of numbers, given as texts: `solve_ensemble`'s answer. `load_device` comes before.
"""
function solve_kernels(device, dtype, slope, jacobian, time_slope, words, orders, u0, p, t0, t1, saveat, tstops, numbers...)
    e = Ensemble(u0, p, (Float64(t0), Float64(t1)), "", floats(saveat))
    words = split(string(words))
    steps = load_steps(words, collect(Int, orders), size(u0, 1), map(string, (slope, jacobian, time_slope)))
    n_tasks = min(Threads.nthreads(), length(e.codes))
    T = dtype == "float32" ? Float32 : Float64
    n_stiff = solve_members(T, DEVICES[string(device)], e, floats(tstops), numbers, steps, n_tasks)
    ran = n_stiff == 0 ? words[1:1] : n_stiff == length(e.codes) ? words[2:2] : words
    return e.u, join(RETURN_CODES, ' '), e.codes .- Int32(1), vec(e.counts), join(ran, ", "), n_tasks, 0
end

function load_problem(program, u0, p, t0, t1, mass_matrix)
    return make_problem(with_mass(RightHandSide(program), mass_matrix), u0, floats(p), (Float64(t0), Float64(t1)))
end

"""
    dense_request(program, u0, p, t0, t1, spec, options...)

A solution that can be evaluated between its steps: the name of the return code, the time that it reached, the error's
text if the solver threw one, the solution, and where a solve that failed stood.
"""
function dense_request(
        program, u0, p, t0, t1, spec, rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive = true,
        mass_matrix = nothing
    )
    problem = load_problem(program, floats(u0), p, t0, t1, mass_matrix)
    options = make_options(rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive)
    solution = try
        solve_problem(problem, string(spec), options; dense = true)
    catch error
        code = thrown_code(error)
        code === nothing && rethrow()
        name, stop = ending(code, take_integrator(), t0, floats(u0))
        return name, Float64(t0), error_text(error), nothing, stop
    end
    name, stop = ending(solution.retcode, take_integrator(), t0, floats(u0))
    return name, solution.t[end], "", solution, stop
end

"States `(state, time)` of a solution at any times that it reached."
evaluate_solution(solution, times) = reduce(hcat, (solution(t) for t in floats(times)))

"""
    make_objective(program, parametrization, n_parameters, t0, times, values, weights, x0, words, options...)

An objective in which `"auto"` has become one word each; `values` and `weights` are `(state, time)`, or those of the
observables that `observe`, a Program, makes of the `n_states` states. Effects and conditions of `events` have their pullbacks.
See `Objective` for `sees_data` and `whole`.
"""
function make_objective(
        program, parametrization, n_parameters, t0, times, values, weights, x0, word, sensitivity,
        rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive = true, observe = nothing, n_states = size(values, 1),
        sees_data = false, whole = nothing, events = nothing, n_path = 0, mass_matrix = nothing
    )
    times, x0 = floats(times), floats(x0)
    objective = Objective(
        with_mass(RightHandSide(program), mass_matrix), parametrization, Float64(t0), times, collect(Float64, values),
        collect(Float64, weights), Int(n_parameters),
        make_options(rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive, something(events, NO_EVENTS)),
        string(word), string(sensitivity), length(times), 1.0, sensitivity == "auto", Int(n_states),
        observe === nothing ? nothing : RightHandSide(observe), Bool(sees_data),
        whole === nothing ? nothing : RightHandSide(whole), Int(n_path)
    )
    word == "auto" && (objective.word = choose_algorithm(objective, x0))
    choose_sensitivity!(objective, length(x0))
    return objective
end

"The sum of objectives, the k-th a function of x[picks[starts[k] + 1 : starts[k + 1]]] (counted from 0), and of penalties."
function make_sum(parts, picks, starts, penalties)
    picks, starts = collect(Int, picks) .+ 1, collect(Int, starts)
    slices = [picks[(starts[k] + 1):starts[k + 1]] for k in eachindex(parts)]
    return ObjectiveSum(collect(Objective, parts), slices, collect(Program, penalties))
end

chosen_words(objective) = (method_of(objective.word), objective.sensitivity)
chosen_words(sum::ObjectiveSum) = chosen_words(sum.parts[1])

"Do `nearby_values` have the steps of one solve?"
has_frozen_steps(objective) = is_replayed(objective) && objective.whole === nothing

"Losses at the columns of `points`, with the steps that the solve at x takes if it `has_frozen_steps`."
function nearby_values(objective::Objective, x, points)
    has_frozen_steps(objective) && return replay_values(objective, floats(x), points)
    return [objective_value(objective, floats(point)) for point in eachcol(points)]
end

"""
    stage_request(objective, x, is_auto, rows, factor, optimizer, steps, rates, clip, decay, batches, path)

Run one stage of a fit (see `Stage`) over the first `rows` of each part: the best x, its value, the history
`(column, iteration)`, how it ended, the words of algorithm and sensitivity at the end, and what went wrong with the files.
"""
function stage_request(objective, x, is_auto, rows, factor, optimizer, steps, rates, clip, decay, batches, path)
    use_rows!(objective, collect(Int, rows), factor)
    batches = Matrix{Int}(batches)
    stage = Stage(string(optimizer), Int(steps), floats(rates), Float64(clip), floats(decay), batches, string(path))
    fit, ending = run_stage(objective, stage, floats(x), Bool(is_auto))
    history = reduce(hcat, fit.history; init = zeros(columns(fit), 0))
    return fit.best_x, fit.best, history, ending, chosen_words(objective)..., fit.trouble
end

return_codes() = Tuple(RETURN_CODES)

"""
    search_equations(inputs, outputs, binary, unary, iterations, maxsize, seed)

Of each output, a row of `outputs`, the trees of operators that say it by `inputs` better than all smaller ones, by size: the
codes of their nodes and their constants. A node stands behind its children; a positive code is an input, zero the next
constant, a negative one an operator, -1 the first of `binary`, those of `unary` behind these. `load_package` comes before.
"""
function search_equations end

"Versions of what runs, as far as it is loaded."
function versions()
    names = ("OrdinaryDiffEqCore", "SciMLSensitivity", "Optim", "Optimisers", "PySciML")
    loaded = [(id.name, string(pkgversion(m))) for (id, m) in Base.loaded_modules if id.name in names]
    return (("Julia", string(VERSION)), sort!(loaded)...)
end

"""
    compilations()

How many different texts of Programs this process has compiled, and the seconds that Julia has spent on compiling since the first call of this.
"""
function compilations()
    Base.cumulative_compile_timing(true)
    return length(FUNCTIONS), Base.cumulative_compile_time_ns()[1] / 1.0e9
end

"Drop what packages log in this task and in those that it starts: what a solve has to say is its status."
function silence()
    current_task().logstate = Base.CoreLogging.LogState(Base.CoreLogging.NullLogger())
    return nothing
end
