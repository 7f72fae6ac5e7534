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

const SAMPLE_OPTIONS = (1.0e-6, 1.0e-8, 0.0, 0.0, 100_000, Float64[])
const SAMPLE_X = [1.0, 1.0, 2.0]

sample_program() = Program(sample!, Work([1.0], Bool[], Int[], 2, 0), false)
sample_parameters() = Program(sample_parametrization!, Work(Float64[], Bool[], Int[], 0, 0), false)

"One solve by each way that results are asked for."
function run_sample_solve(word)
    load_algorithm(word)
    for saveat in ([0.5, 1.0], Float64[])
        Base.invokelatest(solve_request, sample_program(), [1.0, 1.0], [1.0, 2.0], 0.0, 1.0, word, saveat, SAMPLE_OPTIONS...)
    end
end

"A solve with generated derivatives, the entries of a diagonal Jacobian among them."
function run_sample_model(word, is_sparse)
    entries = Program(sample_entries!, Work(Float64[], Bool[], Int[], 0, 0), false)
    product = Program(sample_product!, Work(Float64[], Bool[], Int[], 0, 0), false)
    model = load_model(sample_program(), entries, [0, 1], [0, 1], 2, is_sparse, entries, product)
    solve_request(model, [1.0, 1.0], [1.0, 2.0], 0.0, 1.0, word, [0.5, 1.0], SAMPLE_OPTIONS...)
    return nothing
end

function run_sample_fit(word, sensitivity)
    objective = make_objective(
        sample_program(), sample_parameters(), 2, 0.0, [0.5, 1.0], ones(2, 2), ones(2, 2), SAMPLE_X, word, sensitivity,
        SAMPLE_OPTIONS...
    )
    value_only(objective, SAMPLE_X)
    value_and_gradient(objective, SAMPLE_X)
    fit_request(objective, SAMPLE_X, false, [0, 1], [2, 2], [0.01, 0.0], [1, 2], [1.0, 1.0], [0.5, 1.0])
    return nothing
end

"What must not be left in an image."
function forget_samples()
    fill!(PROGRESS, 0.0)
    empty!(FUNCTIONS)
    empty!(MADE)
    return nothing
end

@setup_workload begin
    @compile_workload begin
        for word in ("auto", "Tsit5", "Vern7", "Vern9", "Rosenbrock23", "Rodas5P")
            run_sample_solve(word)
        end
        color_pattern([0, 1, 2], [0, 1])
        run_sample_model("Rodas5P", false)
        run_sample_model("Rodas5P", true)
        for word in ("Tsit5", "Vern7", "Rodas5P")
            run_sample_fit(word, "forward")
        end
        run_sample_fit("auto", "auto")
    end
    forget_samples()
end
