# The loss near a point, along the steps that the solve at that point takes: what the gradient of these steps is held against.

"""
    replay_values(o, x, points)

The losses at the columns of `points`, all with the steps accepted at x; NaN if the solve there fails.
"""
function replay_values(o::Objective, x, points)
    u0, p = parametrize(o, x)
    path, tableau = record_path(o, u0, p, false), tableau_of(o.word)
    path === nothing && return fill(NaN, size(points, 2))
    memory = StepMemory(o.f, tableau, length(u0), length(p), Block[])
    forget_steps!(path) # but for their times
    return [replay_value(o, tableau, path.t, memory, parametrize(o, Vector(point))...) for point in eachcol(points)]
end

function replay_value(o, tableau, t, memory, u0, p)
    u0 = find_start(o, u0, p)
    u0 === nothing && return NaN
    found = try_numerics(() -> replay_steps(o, tableau, t, memory, copy(u0), p))
    return found === nothing ? NaN : found
end

function replay_steps(o, tableau, t, memory, u, p)
    total, row = cross_again!(u, p, o, t[1], 1, 1)
    for s in 1:(length(t) - 1)
        step = Step(t[s], t[s + 1] - t[s], t[s + 1], u, u, NOT_KEPT, NO_FACTORS)
        is_between = row <= o.rows && o.times[row] < step.t_next
        find_stages!(memory, o.f, tableau, step, p, is_between)
        while row <= o.rows && o.times[row] < step.t_next
            w = interpolation_weights!(memory.weights, tableau, (o.times[row] - step.t) / step.h, step.h)
            total += misfit(o, add_stages!(copyto!(memory.state, u), 1.0, w, memory.k, eachindex(w)), p, row)
            row += 1
        end
        end_step!(u, memory, tableau, step.h)
        loss, row = cross_again!(u, p, o, step.t_next, s + 1, row)
        total += loss
    end
    return total
end
