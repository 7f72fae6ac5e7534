# Loaded into PySciML by `sdirk.py`, whose question is there. Times are the tenth of some hundred calls, in milliseconds.

function time_call(f, n = 200)
    f()
    times = map(1:n) do _
        start = time_ns()
        f()
        (time_ns() - start) / 1.0e6
    end
    return sort!(times)[n ÷ 10]
end

count_steps(o, x) = length(record_path(o, parametrize(o, x)..., false).t) - 1.0

"Steps and milliseconds of a gradient by steps reversed."
time_reversal(o, x) = [count_steps(o, floats(x)), time_call(() -> objective_gradient(o, floats(x)))]

"Steps, milliseconds of the solve, and those of what an implicit stage needs backwards: a matrix, its factors, a solve, a product."
function time_stages(o, x)
    u0, p = parametrize(o, floats(x))
    path = record_path(o, u0, p, false)
    tableau = read_rosenbrock("Rodas5P")
    memory = StepMemory(o.f, tableau, length(u0), length(p), o.f.pullback.program.blocks)
    s = length(path.t) ÷ 2
    step = Step(path.t[s], path.t[s + 1] - path.t[s], path.t[s + 1], path.states[s], path.states[s + 1], NOT_KEPT)
    v = ones(length(u0))
    function reverse_stages()
        for _ in 1:100
            factor_step!(memory, o.f, tableau, step, p)
            solve_transposed!(factors_of(memory), fill!(v, 1.0))
            pull_step!(memory, o.f, v, step.u, p, step.t)
        end
    end
    return [length(path.t) - 1.0, time_call(() -> record_path(o, u0, p, false)), time_call(reverse_stages) / 100]
end

