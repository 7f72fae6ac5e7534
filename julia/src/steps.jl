# Steps of small problems as functions of tuples of numbers, which touch no memory: written once a method and size from its tableau,
# for float32 and for GPUs. Numbers are of the type of `t`.

"A text's function, made once, without what a GPU can't hold."
scalar_function(text) = get!(FUNCTIONS, text) do
    RuntimeGeneratedFunctions.drop_expr(RuntimeGeneratedFunction(@__MODULE__, @__MODULE__, Meta.parse(text)))
end

"`u + h * sum(weights .* stages)`"
@inline combine(u::NTuple{N}, h, weights, stages) where {N} =
    ntuple(i -> @inbounds(muladd(h, weigh(weights, stages, i), u[i])), Val(N))

@inline weigh(weights::Tuple{Any}, stages, i) = @inbounds weights[1] * stages[1][i]
@inline weigh(weights, stages, i) =
    @inbounds muladd(weights[1], stages[1][i], weigh(Base.tail(weights), Base.tail(stages), i))

@inline add_slope(k, h, ::Nothing) = k
@inline add_slope(k, h, slope) = combine(k, h, (one(h),), (slope,))

@inline distance(a::NTuple{N}, b) where {N} = sqrt(sum(ntuple(i -> @inbounds(abs2(a[i] - b[i])), Val(N))))

"""
Steps of a method with a right-hand side `slope(t, u, p)`. `take(slope, info, t, u, h, p)` gives the state at the end, the error, the
stages, what is known at the end (nothing: to be found anew), and how near stability's boundary the step is; `extend` adds the
stages that `between(share, u, h, stages)` needs.
"""
struct ExplicitSteps{F, A, E, B}
    slope::F
    take::A
    extend::E
    between::B
    order::Int
    n_stages::Int
end

"The same with a matrix: `jacobian` gives its columns one after the other, `time_slope` is nothing where time plays no part."
struct RosenbrockSteps{F, J, D, A, B, L, S}
    slope::F
    jacobian::J
    time_slope::D
    take::A
    between::B
    factor::L
    substitute::S
    order::Int
    n_stages::Int
end

"Evaluations of the right-hand side and of its Jacobian, and linear solves, in steps of which some were rejected."
count_work(s::ExplicitSteps, steps, rejected) = (2 + steps * (s.n_stages - 1), 0, 0)
count_work(s::RosenbrockSteps, steps, rejected) = (2 + steps * s.n_stages - rejected, steps - rejected, steps * s.n_stages)

"What a step begins with."
@inline begin_slopes(s::ExplicitSteps, t, u, p) = s.slope(t, u, p)
@inline begin_slopes(s::RosenbrockSteps, t, u, p) =
    (s.slope(t, u, p), s.jacobian(t, u, p), s.time_slope === nothing ? nothing : s.time_slope(t, u, p))

@inline first_slope(s::ExplicitSteps, info) = info
@inline first_slope(s::RosenbrockSteps, info) = info[1]

@inline take_step(s::ExplicitSteps, info, t, u, h, p) = s.take(s.slope, info, t, u, h, p)
@inline take_step(s::RosenbrockSteps, info, t, u, h, p) = s.take(s, info, t, u, h, p)

@inline extend_stages(s::ExplicitSteps, t, u, h, stages, p) = s.extend(s.slope, t, u, h, stages, p)
@inline extend_stages(s::RosenbrockSteps, t, u, h, stages, p) = stages

# ---- texts

tuple_text(parts) = "(" * join(string.(parts) .* ",", ' ') * ")"

"`combine(u, h, ...)` over the stages that have weights."
function combination(u, h, weights, names)
    used = findall(!iszero, weights)
    isempty(used) && return u
    return "combine($u, $h, $(tuple_text(["T($(weights[i]))" for i in used])), $(tuple_text(names[used])))"
end

"Coefficients `(power from 1, stage)` of the weights of stages between a step's ends."
function polynomials(tableau, m)
    nodes, _ = interpolation_nodes(m)
    values = [interpolation_weights!(zeros(length(tableau.b)), tableau, node, 1.0) for node in nodes]
    powers = [big(node)^k for node in nodes, k in 1:m]
    found = Float64.(powers \ big.(permutedims(reduce(hcat, values))))
    return ifelse.(abs.(found) .< 1.0e-12 * maximum(abs, found), 0.0, found)
end

function write_between(tableau, m, names, scale)
    coefficients = polynomials(tableau, m)
    used = [i for i in axes(coefficients, 2) if !iszero(coefficients[:, i])]
    weights = ["share * evalpoly(share, $(tuple_text(["T($c)" for c in coefficients[:, i]])))" for i in used]
    return """
    function (share, u, h, stages)
        T = typeof(share)
        $(tuple_text(names)) = stages
        combine(u, $scale, $(tuple_text(weights)), $(tuple_text(names[used])))
    end"""
end

"""
The weights of an explicit method's error: what it makes of stages that are unit vectors, in a step that its control accepts.
"""
function error_weights(spec, n)
    n_calls = 0
    function basis!(du, u, p, t)
        n_calls += 1
        fill!(du, 0.0)
        n_calls <= length(du) && (du[n_calls] = 1.0)
        return nothing
    end
    problem = make_problem(RightHandSide(basis!), zeros(MOST_STAGES), Float64[], (0.0, 1.0))
    options = Options(1.0e-14, 1.0e6, 1.0, 0.0, 10, Inf, Float64[], true, NO_EVENTS, Norm())
    solve_problem(problem, spec, options; dense = false, everystep = true)
    return take_integrator().cache.atmp[1:n] .* 1.0e6
end

"Texts of methods' functions, and how many stages a step has."
const WRITTEN = Dict{String, Tuple{Vector{String}, Int}}()

function explicit_steps(spec, order, slope)
    texts, n_stages = get!(() -> write_explicit(spec), WRITTEN, spec)
    return ExplicitSteps(slope, map(scalar_function, Tuple(texts))..., order, n_stages)
end

function write_explicit(spec)
    tableau = read_tableau(spec)
    (; a, b, c) = tableau
    errors = error_weights(spec, length(b))
    names = ["k$i" for i in eachindex(b)]
    first_ones = depends_on(a, findall(!iszero, abs.(b) .+ abs.(errors)))
    others = setdiff(union(tableau.inner, tableau.between), first_ones)
    stage(i) = "k$i = slope(t + T($(c[i])) * h, $(combination("u", "h", a[:, i], names)), p)"
    ends = filter(i -> c[i] == 1, first_ones)
    last = something(findfirst(i -> a[:, i] == b && c[i] == 1, first_ones), 0)
    boundary = stability_boundary(tableau)
    closeness = length(ends) < 2 || boundary == 0 ? "zero(T)" :
        "closeness(h, k$(ends[end - 1]), k$(ends[end]), k$(first_ones[1]),
            $(combination("map(zero, u)", "one(T)", a[:, ends[end]] - a[:, ends[end - 1]], names)), T($boundary))"
    take = """
    function (slope, k1, t, u, h, p)
        T = typeof(t)
        $(join(stage.(first_ones[2:end]), "\n    "))
        y = $(combination("u", "h", b, names))
        error = $(combination("map(zero, u)", "h", errors, names))
        y, error, $(tuple_text(names[first_ones])), $(last == 0 ? "nothing" : "k$(first_ones[last])"), $closeness
    end"""
    extend = """
    function (slope, t, u, h, stages, p)
        T = typeof(t)
        $(tuple_text(names[first_ones])) = stages
        $(join(stage.(others), "\n    "))
        $(tuple_text(names[vcat(first_ones, others)]))
    end"""
    between = write_between(tableau, length(tableau.nodes), names, "h")
    between = replace(between, tuple_text(names) * " = stages" => tuple_text(names[vcat(first_ones, others)]) * " = stages")
    return [take, extend, between], length(first_ones) + (last == 0)
end

"""
How near a step is to the boundary of stability, from two stages at its end, or 0 where accuracy limits it: see the embedded engine's
`stiffness.py`. Hairer, Wanner (1996), section IV.2, doi:10.1007/978-3-642-05221-7.
"""
@inline function closeness(h, k_a, k_b, k_1, apart, boundary)
    gap, zero_state = distance(apart, map(zero, apart)), map(zero, k_1)
    radius = gap > 0 ? distance(k_b, k_a) / gap : zero(gap) # times the step: `apart` lacks its h
    bend = distance(k_b, k_1) / distance(k_1, zero_state)
    return bend < oftype(h, 0.05) * radius ? 2 * radius / boundary : radius / boundary
end

"The real z < 0, made positive, at which the stability function leaves the unit disc."
function stability_boundary(tableau)
    inner = tableau.inner
    A, b = permutedims(tableau.a[inner, inner]), tableau.b[inner]
    for z in 0.01:0.01:20
        growth = 1 - z * (b' * ((LinearAlgebra.I + z * A) \ ones(length(b))))
        abs(growth) > 1 + 1.0e-9 && return z
    end
    return 0.0
end

function rosenbrock_steps(spec, order, n, slope, jacobian, time_slope)
    texts, n_stages = get!(() -> write_rosenbrock(spec), WRITTEN, spec)
    texts = [texts; write_factors(n)]
    return RosenbrockSteps(slope, jacobian, time_slope, map(scalar_function, Tuple(texts))..., order, n_stages)
end

function write_rosenbrock(spec)
    tableau = read_rosenbrock(spec)
    errors = OrdinaryDiffEqRosenbrock.tabtype(make_algorithm(spec))(Float64, Float64).btilde
    (; A, C, b, c, d, gamma) = tableau
    names = ["k$i" for i in eachindex(b)]
    function stage(i)
        slope = i == 1 ? "f1" : "s.slope(t + T($(c[i])) * h, $(combination("u", "one(T)", A[i, :], names)), p)"
        d[i] == 0 || (slope = "add_slope($slope, T($(d[i])) * h, dT)")
        return "k$i = s.substitute(matrix, $(combination(slope, "inv(h)", C[i, :], names)))"
    end
    take = """
    function (s, info, t, u, h, p)
        T = typeof(t)
        f1, J, dT = info
        matrix = s.factor(J, inv(T($gamma) * h))
        $(join(stage.(eachindex(b)), "\n    "))
        y = $(combination("u", "one(T)", b, names))
        error = $(combination("map(zero, u)", "one(T)", errors, names))
        y, error, $(tuple_text(names)), nothing, zero(T)
    end"""
    return [take, write_between(tableau, size(tableau.H, 1) + 2, names, "one(h)")], length(b)
end

"""
The factors of `diagonal * I - J` with exchanged rows, written out, and what solves with them. A singular matrix gives what isn't
finite, and so a rejected step.
"""
function write_factors(n)
    w(i, j) = "w$(i)_$j"
    lines = ["$(w(i, j)) = $(i == j ? "diagonal - " : "-")J[$((j - 1) * n + i)]" for j in 1:n for i in 1:n]
    append!(lines, ["o$i = $i" for i in 1:n])
    for k in 1:n
        k < n && append!(lines, ["best = $k", "largest = abs($(w(k, k)))"])
        append!(lines, ["isless(largest, abs($(w(i, k)))) && (best = $i; largest = abs($(w(i, k))))" for i in (k + 1):n])
        for i in (k + 1):n
            pairs = [[(w(k, j), w(i, j)) for j in 1:n]; ("o$k", "o$i")]
            append!(lines, ["if best == $i"; ["    $a, $b = $b, $a" for (a, b) in pairs]; "end"])
        end
        push!(lines, "$(w(k, k)) = inv($(w(k, k)))")
        for i in (k + 1):n
            push!(lines, "$(w(i, k)) *= $(w(k, k))")
            append!(lines, ["$(w(i, j)) -= $(w(i, k)) * $(w(k, j))" for j in (k + 1):n])
        end
    end
    names, orders = tuple_text([w(i, j) for j in 1:n for i in 1:n]), tuple_text(["o$i" for i in 1:n])
    factor = "function (J, diagonal)\n    @inbounds begin\n$(join(lines, "\n"))\n    $names, $orders\n    end\nend"
    return [factor, write_substitution(n, names, w)]
end

function write_substitution(n, names, w)
    solving = ["x$i = b[orders[$i]]" for i in 1:n]
    append!(solving, ["x$i -= $(w(i, j)) * x$j" for i in 1:n for j in 1:(i - 1)])
    for i in n:-1:1
        append!(solving, ["x$i -= $(w(i, j)) * x$j" for j in (i + 1):n])
        push!(solving, "x$i *= $(w(i, i))")
    end
    xs = tuple_text(["x$i" for i in 1:n])
    substitute = "function (matrix, b)\n    $names, orders = matrix\n    @inbounds begin\n$(join(solving, "\n"))\n    $xs\n    end\nend"
    return substitute
end
