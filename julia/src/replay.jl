# The loss near a point, along the steps that the solve at that point takes: what the gradient of these steps is held against.

"Can accepted steps be done again? Those of the methods whose coefficients we know."
function is_replayed(o::Objective)
    word = method_of(o.word)
    has_jacobian = n_states(o) <= LARGEST_JACOBIAN || has_sparse_jacobian(o.f)
    return word in EXPLICIT || (word in ROSENBROCK && has_jacobian && o.f.derivatives !== nothing)
end

"What a stage counts in the state at a step's end."
end_factor(::Tableau, h) = h
end_factor(::RosenbrockTableau, h) = 1.0

"""
    replay_values(o, x, points)

The losses at the columns of `points`, all with the steps accepted at x; NaN if the solve there fails.
"""
function replay_values(o::Objective, x, points)
    u0, p = parametrize(o, x)
    t, tableau = [o.t0], tableau_of(o.word)
    if last_time(o) > o.t0
        problem = make_problem(o.f, u0, p, (o.t0, last_time(o)))
        solution = try_solve(() -> solve_problem(problem, o.word, o.options; everystep = true))
        solution === nothing && return fill(NaN, size(points, 2))
        t = solution.t
    end
    memory = StepMemory(o.f, tableau, length(u0), length(p), Block[])
    return [replay_value(o, tableau, t, memory, parametrize(o, Vector(point))...) for point in eachcol(points)]
end

function replay_value(o, tableau, t, memory, u0, p)
    found = try_numerics(() -> replay_steps(o, tableau, t, memory, copy(u0), p))
    return found === nothing ? NaN : found
end

function replay_steps(o, tableau, t, memory, u, p)
    row, total = 1, 0.0
    if o.times[1] == t[1]
        total, row = misfit(o, u, p, 1), 2
    end
    for s in 1:(length(t) - 1)
        step = Step(t[s], t[s + 1] - t[s], t[s + 1], u, u, Vector64[])
        is_between = row <= o.rows && o.times[row] < step.t_next
        find_stages!(memory, o.f, tableau, step, p, is_between)
        while row <= o.rows && o.times[row] < step.t_next
            w = interpolation_weights!(memory.weights, tableau, (o.times[row] - step.t) / step.h, step.h)
            total += misfit(o, add_stages!(copyto!(memory.state, u), 1.0, w, memory.k, eachindex(w)), p, row)
            row += 1
        end
        add_stages!(u, end_factor(tableau, step.h), tableau.b, memory.k, eachindex(memory.k))
        if row <= o.rows && o.times[row] == step.t_next
            total += misfit(o, u, p, row)
            row += 1
        end
    end
    return total
end
