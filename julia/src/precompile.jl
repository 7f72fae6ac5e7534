# What a first solve, gradient and fit need, compiled when the package is: solvers over the fixed types of problems.jl.

function sample!(du, t, u, p, w)
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

function sample_parametrization!(y1, y2, x1, w)
    @inbounds begin
        y1[1] = 1.0
        y1[2] = x1[1]
        y2[1] = x1[2]
        y2[2] = x1[3]
    end
    return nothing
end

sample_entries!(y, t, u, p, w) = (y .= u; nothing)

sample_product!(y, t, u, p, v, w) = (y .= v; nothing)

"The sample with generated derivatives, of the entries of a diagonal Jacobian."
function sample_model(program, is_sparse)
    entries = Program(sample_entries!, Work(Float64[], Bool[], Int[], 0, 0), false)
    product = Program(sample_product!, Work(Float64[], Bool[], Int[], 0, 0), false)
    return load_model(program, entries, [0, 1], [0, 1], 2, is_sparse, entries, product)
end

const SAMPLE_OPTIONS = (1.0e-6, 1.0e-8, 0.0, 0.0, 100_000, Float64[])

@setup_workload begin
    program = Program(sample!, Work([1.0], Bool[], Int[], 2, 0), false)
    parametrization = Program(sample_parametrization!, Work(Float64[], Bool[], Int[], 0, 0), false)
    x = [1.0, 1.0, 2.0]
    @compile_workload begin
        for word in ("auto", "Tsit5", "Vern7", "Rodas5P", "FBDF")
            solve_request(program, [1.0, 1.0], [1.0, 2.0], 0.0, 1.0, word, [0.5, 1.0], SAMPLE_OPTIONS...)
        end
        color_pattern([0, 1, 2], [0, 1])
        for (is_sparse, words) in ((false, ("Rodas5P",)), (true, ("Rodas5P", "FBDF"))), word in words
            solve_request(
                sample_model(program, is_sparse), [1.0, 1.0], [1.0, 2.0], 0.0, 1.0, word, [0.5, 1.0], SAMPLE_OPTIONS...
            )
        end
        for sensitivity in ("forward", "gauss")
            objective = make_objective(
                program, parametrization, 2, 0.0, [0.5, 1.0], ones(2, 2), ones(2, 2), x, "Tsit5", sensitivity,
                SAMPLE_OPTIONS...
            )
            value_only(objective, x)
            value_and_gradient(objective, x)
            fit_request(objective, x, false, [0, 1], [2, 2], [0.01, 0.0], [1, 2], [1.0, 1.0], [0.5, 1.0])
        end
    end
    fill!(PROGRESS, 0.0)
end
