# What a first solve, gradient and fit need, compiled when the package is: solvers over the fixed types of problems.jl.

const SAMPLE_TEXT = """
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
end"""

const SAMPLE_PARAMETERS = "(y1, y2, x1, w) -> (y1[1] = 1.0; y1[2] = x1[1]; y2[1] = x1[2]; y2[2] = x1[3]; nothing)"
const SAMPLE_ENTRIES = "(y, t, u, p, w) -> (y .= u; nothing)"
const SAMPLE_PRODUCT = "(y, t, u, p, v, w) -> (y .= v; nothing)"
const SAMPLE_PULLBACK = "(y1, y2, t, u, p, v, w) -> (y1 .= v; y2 .+= 0.0; nothing)"
const SAMPLE_SECOND = "(y1, y2, t, u, p, s, k, v, w) -> (y1 .= v; y2 .+= 0.0; nothing)"
const SAMPLE_RETURN = "(y, x, v1, v2, w) -> (y .= 0.0; nothing)"

"A call as Python makes it."
function call_sample(name, arguments...)
    foreach(empty!, (CELLS, BYTES))
    write_value((name, arguments...))
    n, message = length(CELLS), vcat(reinterpret(UInt8, CELLS), BYTES)
    GC.@preserve message exchange(Ptr{Cell}(pointer(message)), n)
    isempty(CELLS) && return nothing
    first(CELLS).kind == ERROR && error(String(BYTES[1:(CELLS[3].rows)]))
    return first(CELLS)
end

"A value that stays in Julia, by the key that a call gave."
struct Sample
    key::Int
end

write_value(sample::Sample) = push!(CELLS, Cell(HELD_VALUE, sample.key, 0, 0))

hold_sample(name, arguments...) = Sample(call_sample(name, arguments...).word)

load_sample(text) = hold_sample("load_program", text, [1.0], Bool[], Int[], 2, 0)

const SAMPLE_OPTIONS = (1.0e-6, 1.0e-8, 0.0, 0.0, 100_000, Inf, Float64[], true)
const SAMPLE_X = [1.0, 1.0, 2.0]
const SAMPLE_PROBLEM = ([1.0, 1.0], [1.0, 2.0], 0.0, 1.0)

"A solve, and what is asked of it again."
function ask_samples(f, u0, p, arguments...)
    call_sample("solve_and_keep", f, u0, p, arguments...)
    key = CELLS[2].word
    copyto!(HELD[key].given, vcat(u0, p))
    foreach(_ -> exchange_again(key), 1:2)
    return nothing
end

"An objective's value, and its gradient."
function ask_samples(objective)
    for wants_gradient in (false, true)
        call_sample("prepare_objective", objective, length(SAMPLE_X), wants_gradient)
        key = CELLS[2].word
        copyto!(HELD[key].x, SAMPLE_X)
        exchange_again(key)
    end
    return nothing
end

"One solve by each way that results are asked for."
function run_sample_solve(word)
    call_sample("load_algorithm", word)
    f = hold_sample("load_right_hand_side", load_sample(SAMPLE_TEXT))
    for saveat in ([0.5, 1.0], Float64[])
        ask_samples(f, SAMPLE_PROBLEM..., word, saveat, SAMPLE_OPTIONS..., nothing, nothing)
        call_sample("solve_requests", f, ones(2, 2), ones(2, 2), 0.0, 1.0, word, saveat, SAMPLE_OPTIONS..., nothing, nothing)
    end
end

"The automatic choice, which has a pair of methods for loose and for tight tolerances, and others for many states."
function run_sample_automatic(n, rtol)
    arguments = (load_sample(SAMPLE_ENTRIES), ones(n), [1.0], 0.0, 1.0, "auto", [0.5, 1.0], rtol)
    ask_samples(arguments..., SAMPLE_OPTIONS[2:end]..., nothing, nothing)
    return nothing
end

"A solve with generated derivatives, the entries of a diagonal Jacobian among them."
function run_sample_model(word, is_sparse, mass_matrix = nothing)
    call_sample("load_algorithm", word)
    f, entries, product = load_sample(SAMPLE_TEXT), load_sample(SAMPLE_ENTRIES), load_sample(SAMPLE_PRODUCT)
    model = hold_sample("load_model", f, entries, [0, 1], [0, 1], 2, is_sparse, entries, product)
    arguments = (SAMPLE_PROBLEM[3:4]..., word, [0.5, 1.0], SAMPLE_OPTIONS..., mass_matrix, nothing)
    ask_samples(model, SAMPLE_PROBLEM[1:2]..., arguments...)
    return nothing
end

"Some trajectories, one by one and as lanes."
function run_sample_ensemble(word)
    f = hold_sample("load_right_hand_side", load_sample(SAMPLE_TEXT))
    entries, product = load_sample(SAMPLE_ENTRIES), load_sample(SAMPLE_PRODUCT)
    wide = is_stiff(word) ? hold_sample("load_wide_model", entries, entries, [0, 1], [0, 1], 2, 2, entries, product) :
        hold_sample("load_right_hand_side", entries)
    for lanes in (0, 2)
        call_sample(
            "solve_ensemble", f, lanes == 0 ? nothing : wide, lanes, true, nothing, nothing, ones(2, 3), ones(2, 3), 0.0, 1.0, word,
            [0.5, 1.0], 1, false, SAMPLE_OPTIONS...
        )
    end
    return nothing
end

function run_sample_fit(word, sensitivity; is_sparse = false, blocks = Int[])
    f = hold_sample("load_pullback", load_sample(SAMPLE_TEXT), load_sample(SAMPLE_PULLBACK), blocks)
    entries, product, second = load_sample(SAMPLE_ENTRIES), load_sample(SAMPLE_PRODUCT), load_sample(SAMPLE_SECOND)
    model = hold_sample("load_model", f, entries, [0, 1], [0, 1], 2, is_sparse, entries, product, second)
    parametrization = hold_sample("load_pullback", load_sample(SAMPLE_PARAMETERS), load_sample(SAMPLE_RETURN), Int[])
    objective = hold_sample(
        "make_objective", model, parametrization, 2, 0.0, [0.5, 1.0], ones(2, 2), ones(2, 2),
        SAMPLE_X, word, sensitivity, SAMPLE_OPTIONS...
    )
    call_sample("chosen_words", objective)
    ask_samples(objective)
    call_sample("nearby_values", objective, SAMPLE_X, reshape(SAMPLE_X, :, 1))
    for (optimizer, rates) in (("adam", [0.01, 0.01]), ("lbfgs", Float64[]))
        call_sample("stage_request", objective, SAMPLE_X, false, 1, 1.0, optimizer, 2, rates, Inf, Float64[], zeros(Int, 0, 0), "")
    end
    return nothing
end

"A sum of two objectives, solved as lanes of one problem."
function run_sample_lanes(word)
    f, wide, pairs = load_sample_lanes(word)
    parametrization = hold_sample("load_pullback", load_sample(SAMPLE_PARAMETERS), load_sample(SAMPLE_RETURN), Int[])
    parts = map(1:2) do _
        hold_sample(
            "make_objective", f, parametrization, 2, 0.0, [0.5, 1.0], ones(2, 2), ones(2, 2), SAMPLE_X, word, "discrete",
            SAMPLE_OPTIONS...
        )
    end
    for seen in (nothing, pairs)
        total = hold_sample("make_sum", Any[parts...], [0, 1, 2, 0, 1, 2], [0, 3, 6], ())
        call_sample("add_lanes!", total, wide, seen, 2, [0], false, [0, 1], Float64[])
        call_sample("chosen_words", total)
        ask_samples(total)
        call_sample("stage_request", total, SAMPLE_X, false, [1, 1], 1.0, "adam", 2, [0.01, 0.01], Inf, Float64[], zeros(Int, 0, 0), "")
    end
    return nothing
end

"A right-hand side, that of two lanes, and what is observed of them."
function load_sample_lanes(word)
    f = hold_sample("load_pullback", load_sample(SAMPLE_TEXT), load_sample(SAMPLE_PULLBACK), Int[])
    pairs = hold_sample("load_pullback", load_sample(SAMPLE_ENTRIES), load_sample(SAMPLE_PULLBACK), Int[])
    is_stiff(word) || return hold_sample("load_right_hand_side", f), hold_sample("load_right_hand_side", pairs), pairs
    entries, product, second = load_sample(SAMPLE_ENTRIES), load_sample(SAMPLE_PRODUCT), load_sample(SAMPLE_SECOND)
    derivatives = (entries, product, second)
    return hold_sample("load_model", f, entries, [0, 1], [0, 1], 2, false, derivatives...),
        hold_sample("load_wide_model", pairs, entries, [0, 1], [0, 1], 2, 2, derivatives...), pairs
end

"What must not be left in an image."
function forget_samples()
    fill!(PROGRESS, 0.0)
    foreach(empty!, (FUNCTIONS, MADE, HELD, CELLS, BYTES))
    return nothing
end

@setup_workload begin
    @compile_workload begin
        for word in ("auto", "Tsit5", "Vern7", "Vern9", "Rosenbrock23", "Rodas5P")
            run_sample_solve(word)
        end
        foreach(run_sample_automatic, (2, SMALL + 1, SMALL + 1), (1.0e-8, 1.0e-8, 1.0e-6))
        addresses()
        precompile(np_matmul!, (repeat([Vector64, Int], 3)..., Int, Int, Int, Bool, Bool))
        call_sample("versions")
        call_sample("call_many", (("return_codes",),))
        call_sample("color_pattern", [0, 1, 2], [0, 1])
        run_sample_model("Rodas5P", false)
        run_sample_model("Rodas5P", true)
        run_sample_model("Rodas5P", false, [2.0, 2.0])
        run_sample_model("Rodas5P", true, [2.0, 2.0])
        run_sample_model("Rosenbrock23", true)
        foreach(run_sample_ensemble, ("auto", "Tsit5", "Rodas5P"))
        foreach(word -> get!(() -> write_explicit(word), WRITTEN, word), ("Tsit5", "Vern7")) # kept, as texts
        WRITTEN["Rodas5P"] = write_rosenbrock("Rodas5P")
        write_factors(2)
        for word in ("Tsit5", "Vern7", "Rodas5P")
            run_sample_fit(word, "forward")
        end
        for word in ("Tsit5", "Vern7", "Vern9", "Rodas5P")
            run_sample_fit(word, "discrete")
        end
        run_sample_fit("Rodas5P", "discrete"; is_sparse = true)
        run_sample_fit("Tsit5", "discrete"; blocks = [0, 1, 1, 0, 1, 1, 1, 0, 2, 2]) # a product of factors, and a factor
        run_sample_fit("auto", "auto")
        foreach(run_sample_lanes, ("Tsit5", "Vern7", "Vern9", "Rodas5P"))
    end
    forget_samples()
end
