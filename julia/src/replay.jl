# The loss near a point, along the steps that the solve at that point takes: what the gradient of these steps is held against.

"""
    replay_values(o, x, points)

The losses at the columns of `points`, all with the steps accepted at x; NaN if the solve there fails.
"""
function replay_values(o::Objective, x, points)
    u0, p = parametrize(o, x)
    path, tableau = Path(o.t0, u0), tableau_of(o.word)
    if last_time(o) > o.t0
        problem = make_problem(o.f, u0, p, (o.t0, last_time(o)))
        solution = try_solve(() -> solve_problem(problem, o.word, o.options; everystep = false, record = path))
        solution === nothing && return fill(NaN, size(points, 2))
    end
    memory = StepMemory(o.f, tableau, length(u0), length(p), Block[])
    return [replay_value(o, tableau, path.t, memory, parametrize(o, Vector(point))...) for point in eachcol(points)]
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
        step = Step(t[s], t[s + 1] - t[s], t[s + 1], u, u, NOT_KEPT)
        is_between = row <= o.rows && o.times[row] < step.t_next
        find_stages!(memory, o.f, tableau, step, p, is_between)
        while row <= o.rows && o.times[row] < step.t_next
            w = interpolation_weights!(memory.weights, tableau, (o.times[row] - step.t) / step.h, step.h)
            total += misfit(o, add_stages!(copyto!(memory.state, u), 1.0, w, memory.k, eachindex(w)), p, row)
            row += 1
        end
        end_step!(u, memory, tableau, step.h)
        if row <= o.rows && o.times[row] == step.t_next
            total += misfit(o, u, p, row)
            row += 1
        end
    end
    return total
end
