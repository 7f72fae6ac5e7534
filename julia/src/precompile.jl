# What a first solve, gradient and fit need, compiled when the package is: solvers over the fixed types of problems.jl.

const SAMPLE = """
function (du, t, u, p, w)
    T = number_type(t, u, p)
    q = numbers(w, T)
    c = w.constants
    @inbounds begin
        q[1] = p[1] * u[1] - p[2] * u[1] * u[2]
        q[2] = c[1] * (p[2] * u[1] * u[2] - p[1] * u[2])
        @simd for i in 1:2
            du[i] = q[i]
        end
    end
    return nothing
end
"""

const SAMPLE_PARAMETRIZATION = """
function (y1, y2, x1, w)
    @inbounds begin
        y1[1] = 1.0
        y1[2] = x1[1]
        y2[1] = x1[2]
        y2[2] = x1[3]
    end
    return nothing
end
"""

function rehearse()
    program = load_program("sample", SAMPLE, [1.0], Bool[], Int[], 2, 0, false)
    parametrization = load_program("parametrization", SAMPLE_PARAMETRIZATION, Float64[], Bool[], Int[], 0, 0, false)
    tolerances = (1.0e-6, 1.0e-8, 0.0, 0.0, 100_000, Float64[])
    for word in ("auto", "Tsit5", "Vern7", "Rodas5P", "FBDF"), saveat in ([0.5, 1.0], Float64[])
        solve_request(program, [1.0, 1.0], [1.0, 2.0], 0.0, 1.0, word, saveat, tolerances...)
    end
    x = [1.0, 1.0, 2.0]
    for (word, sensitivity) in (("auto", "auto"), ("Tsit5", "gauss"))
        objective = make_objective(
            program, parametrization, 2, 0.0, [0.5, 1.0], ones(2, 2), ones(2, 2), x, word, sensitivity, tolerances...
        )
        value_only(objective, x)
        fit_request(objective, x, false, [0, 1], [2, 2], [0.01, 0.0], [1, 2], [1.0, 1.0], [0.5, 1.0])
    end
    return nothing
end

@setup_workload begin
    @compile_workload begin
        rehearse()
    end
    empty!(FUNCTIONS)
    fill!(PROGRESS, 0.0)
end
