# The gradient of an objective: forward, by the adjoint equation, or by steps reversed (discrete.jl).

"The solution at the data's times, or nothing if it doesn't get there."
function solve_rows(o::Objective, problem)
    times = o.times[1:(o.rows)]
    times[end] == o.t0 && return [problem.u0]
    solution = try_solve(() -> solve_problem(problem, o.word, o.options; saveat = times))
    return solution === nothing || reached_rows(solution.t, times) < o.rows ? nothing : solution.u
end

"What `attempt` gives, or nothing: a matrix that can't be factored is a failure like others."
function try_numerics(attempt)
    return try
        attempt()
    catch error
        is_numerical(error) || rethrow()
        nothing
    end
end

"A solve's solution if it reached its end, else nothing."
function try_solve(attempt)
    solution = try_numerics(attempt)
    solution === nothing && return nothing
    return SciMLBase.successful_retcode(solution) && solution.retcode != ReturnCode.Terminated ? solution : nothing
end

is_numerical(error) = error isa Union{LinearAlgebra.SingularException, LinearAlgebra.LAPACKException, DomainError}

last_time(o::Objective) = o.times[o.rows]

function objective_value(o::Objective, x::Vector{Float64})
    u0, p = parametrize(o, x)
    all(isfinite, u0) && all(isfinite, p) || return NaN
    found = solve_values(o, u0, p)
    return found === nothing ? NaN : total_misfit(o, found[1], p, found[2])
end

"The states at the data's times and the parameters there, or nothing if the solve fails."
function solve_values(o::Objective, u0, p)
    isempty(o.options.events) || return solve_through_events(o, copy(u0), copy(p))
    u0 = find_start(o, u0, p)
    u0 === nothing && return nothing
    last_time(o) == o.t0 && return [u0], p
    worker = row_worker(o)
    (; rows) = worker
    solution = try_solve(() -> solve_worker!(worker, o.word, u0, p, (o.t0, last_time(o))))
    solution === nothing && return nothing
    rows.is_used || return reached_rows(solution.t, rows.times) < o.rows ? nothing : (solution.u, p)
    return rows.n < o.rows ? nothing : ([rows.u[:, k] for k in 1:(o.rows)], p)
end

"What solves for the data's times: with what was kept of the last one with the same right-hand side, if it was alike."
function row_worker(o)
    make() = make_worker(o.f, o.options, o.times[1:(o.rows)], n_states(o))
    n_states(o) < MANY_STATES || return make()
    return keep_alike(make, o.f, :rows, (what_is_asked(o), view(o.times, 1:(o.rows))))::Worker
end

"All that a solve without events depends on, beside initial values and parameters."
function what_is_asked(o)
    (; rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive, norm) = o.options
    return o.word, o.t0, last_time(o), n_states(o), length(norm.sums), rtol, atol, dt, dtmax, max_steps, max_seconds, tstops, adaptive
end

"Value and gradient; NaN everywhere if the solve fails."
function objective_gradient(o, x)
    gradient = similar(x)
    return objective_gradient!(gradient, o, x), gradient
end

function objective_gradient!(gradient, o::Objective, x::Vector64)
    value = if o.sensitivity == "discrete"
        reverse_gradient!(discrete_slopes, gradient, o, x)
    elseif o.sensitivity == "forward"
        forward_gradient!(gradient, o, x)
    elseif o.sensitivity == "forward_over_solver"
        dual_gradient!(gradient, o, x)
    else
        reverse_gradient!(adjoint_slopes, gradient, o, x)
    end
    isfinite(value) && all(isfinite, gradient) || (value = NaN; fill!(gradient, NaN))
    return value
end

# ---- forward: tangents of the state as further states, or dual numbers through the solver

"x with the unit tangents of the elements first, first + 1, ..."
function seed(x, first, ::Type{Dual{T, Float64, N}}) where {T, N}
    return [Dual{T}(x[i], Partials(ntuple(k -> Float64(i == first + k - 1), Val(N)))) for i in eachindex(x)]
end

function each_chunk(gradient!, gradient, x)
    value, n = 0.0, chunk_size(length(x))
    isempty(x) && return gradient!(gradient, 1, Val(1))
    for first in 1:n:length(x)
        value = gradient!(gradient, first, Val(n))
        isfinite(value) || return NaN
    end
    return value
end

function store!(gradient, total::Dual, first)
    for k in 1:min(length(partials(total)), length(gradient) - first + 1)
        gradient[first + k - 1] = partials(total, k)
    end
    return value(total)
end

function dual_gradient!(gradient, o, x)
    function chunk!(gradient, first, ::Val{N}) where {N}
        u0, p = parametrize(o, seed(x, first, Dual{GradientTag, Float64, N}))
        rows = solve_rows(o, make_problem(o.f, u0, p, (o.t0, last_time(o))))
        return rows === nothing ? NaN : store!(gradient, total_misfit(o, rows, p), first)
    end
    return each_chunk(chunk!, gradient, x)
end

"A state and its tangents, one after the other, as dual numbers, and back."
function pack!(u::Vector{Dual{T, V, N}}, z) where {T, V, N}
    n = length(u)
    for i in 1:n
        u[i] = Dual{T}(z[i], Partials(ntuple(k -> z[k * n + i], Val(N))))
    end
    return u
end

function unpack!(z, u::Vector{<:Dual{T, V, N}}) where {T, V, N}
    n = length(u)
    for i in 1:n
        z[i] = value(u[i])
        for k in 1:N
            z[k * n + i] = partials(u[i], k)
        end
    end
    return z
end

"The right-hand side of a state and its tangents, for parameters that are dual numbers."
function variational(f::RightHandSide, p::Vector{Dual{T, Float64, N}}, n) where {T, N}
    memory = IdDict{Any, Any}()
    return RightHandSide() do dz, z, _, t
        u, du = dual_pair(memory, Dual{T, eltype(z), N}, n)
        f.generic(du, pack!(u, z), p, t)
        unpack!(dz, du)
        nothing
    end
end

function forward_gradient!(gradient, o, x)
    n = n_states(o)
    function chunk!(gradient, first, ::Val{N}) where {N}
        D = Dual{ForwardTag, Float64, N}
        u0, p = parametrize(o, seed(x, first, D))
        z0 = unpack!(Vector{Float64}(undef, n * (N + 1)), u0)
        rows = solve_rows(o, make_problem(variational(o.f, p, n), z0, Float64[], (o.t0, last_time(o))))
        rows === nothing && return NaN
        return store!(gradient, total_misfit(o, [pack!(Vector{D}(undef, n), row) for row in rows], p), first)
    end
    return each_chunk(chunk!, gradient, x)
end

# ---- reverse: slopes by the initial value and the parameters, then the pullback of the parametrization

"`find_slopes(o, u0, p)` gives the value and the two slopes, or nothing if a solve fails."
function reverse_gradient!(find_slopes, gradient, o, x)
    make() = Vector64(undef, n_states(o)), Vector64(undef, o.n_parameters)
    u0, p = get!(make, o.f.memory, :values)::NTuple{2, Vector64}
    o.parametrization(u0, p, x)
    note_rewritten!()
    all(isfinite, u0) && all(isfinite, p) || return NaN
    whole = o.whole === nothing ? nothing : linearise!(o, u0, p)
    whole === () && return NaN
    slopes = last_time(o) == o.t0 && is_plain(o) ? start_slopes(o, u0, p) : find_slopes(o, u0, p)
    slopes === nothing && return NaN
    value, u_slope, p_slope = slopes
    whole === nothing || (value = whole[1]; p_slope .+= whole[2])
    pull_back!(gradient, o, x, u_slope, p_slope)
    return value
end

"Data at the start only: nothing is solved."
function start_slopes(o, u0, p)
    p_slope = zero(p)
    return misfit(o, u0, p, 1), misfit_slopes!(zero(u0), p_slope, o, u0, p, 1), p_slope
end

"The gradient of x from the slopes of u0 and p: generated, or by dual numbers."
function pull_back!(gradient, o, x, u_slope, p_slope)
    pullback = o.parametrization.pullback
    pullback === nothing || return pullback(gradient, x, u_slope, p_slope)
    function chunk!(gradient, first, ::Val{N}) where {N}
        u0, p = parametrize(o, seed(x, first, Dual{GradientTag, Float64, N}))
        return store!(gradient, sum(u0 .* u_slope) + sum(p .* p_slope), first)
    end
    each_chunk(chunk!, gradient, x)
    return nothing
end

# ---- adjoint: SciMLSensitivity

const OWN = ("discrete", "forward", "forward_over_solver")

"""
    solve_adjoint(word, algorithm, solution, times, slope!, stepping)

The slopes by the initial value and the parameters. (`ext/PySciMLAdjointsExt.jl`)
"""
function solve_adjoint end

"""
    tape(program, is_kept)

The pullback of a right-hand side's Program, by ReverseDiff. (`ext/PySciMLAdjointsExt.jl`)
"""
tape(program, is_kept) = Program(Base.invokelatest(make_tape, program.function!, program.work, is_kept), program.work)
function make_tape end

"Load what the adjoint equation needs, with its extension of this package."
load_adjoints() = get!(() -> Base.require(@__MODULE__, :SciMLSensitivity), LOADED, :SciMLSensitivity)

"""
What solves the adjoint equation: the model's own method, with two exceptions. `"gauss"`: Tsit5 in place of Verner's methods,
whose steps its callback spoils (gradients off by 1e-3 with SciMLSensitivity 7.106). Stiff methods: Rodas5P.
"""
function backward_word(o)
    o.sensitivity == "gauss" && startswith(o.word, "Vern") && return "Tsit5"
    return is_stiff(method_of(o.word)) ? "Rodas5P" : o.word
end

"The sum of all misfits and its slopes by the initial value and the parameters, or nothing if a solve fails."
function adjoint_slopes(o::Objective, u0, p)
    problem = make_problem(o.f, u0, p, (o.t0, last_time(o)))
    forward() = solve_problem(problem, o.word, o.options; dense = true, everystep = true)
    solution = try_solve(forward)
    solution === nothing && return nothing
    value = sum(misfit(o, solution(o.times[k]), p, k) for k in 1:(o.rows))
    # t0 is among the times even without data there: the call for it tells that the adjoint equation was solved to its
    # end, which SciMLSensitivity does not
    times = o.times[1:(o.rows)]
    first_row = times[1] == o.t0 ? 1 : 0
    first_row == 0 && pushfirst!(times, o.t0)
    has_arrived = false
    function slope!(out, u, p, t, k)
        row = first_row + k - 1
        row == 0 ? fill!(out, 0.0) : misfit_slopes!(out, nothing, o, u, p, row)
        k == 1 && (has_arrived = true)
        return nothing
    end
    # The adjoint equation stops at the steps of the solution: it may itself be smooth where the products with it are not
    # (a pulse in the input), and neither steps longer than those nor what is integrated over such a step would tell.
    stepping = (; step_options(o.options, last_time(o) - o.t0)..., tstops = solution.t)
    algorithm = make_algorithm(backward_word(o))
    found = try_numerics(() -> Base.invokelatest(solve_adjoint, o.sensitivity, algorithm, solution, times, slope!, stepping))
    (found === nothing || !has_arrived) && return nothing
    u_slope, p_slope = vec(found[1]), vec(found[2])
    add_measured_slopes!(p_slope, o, solution, p)
    return value, u_slope, p_slope
end

"The slopes by the parameters that observables see themselves, added to those through the state."
function add_measured_slopes!(p_slope, o, solution, p)
    o.observe === nothing && return p_slope
    slope = zeros(n_states(o))
    for row in 1:(o.rows)
        misfit_slopes!(slope, p_slope, o, solution(o.times[row]), p, row)
    end
    return p_slope
end

# ---- what "auto" means

"Does the automatic pair switch to its stiff member on the way, or should it have?"
function is_stiff(o::Objective, x)
    u0, p = parametrize(o, x)
    t1 = last_time(o)
    all(isfinite, u0) && all(isfinite, p) && t1 > o.t0 || return false
    problem = make_problem(o.f, u0, p, (o.t0, t1))
    solution = try_solve(() -> solve_problem(problem, "auto", o.options; saveat = [t1]))
    notes().members[2] && return true
    (solution === nothing || solution.stats.naccept == 0 || isempty(solution.u)) && return false
    step = (t1 - o.t0) / solution.stats.naccept
    return step * max(largest_rate(o.f, u0, p, o.t0), largest_rate(o.f, last(solution.u), p, t1)) > STABLE
end

# Steps in units of the largest rate: Tsit5 is stable on the negative axis to 3.5, Vern7 to 4.6 (`alg_stability_size`).
const STABLE = 2.5

"""
The size of the Jacobian's largest eigenvalue, by power iteration with differences.

A smooth field holds no trace of the modes that decay quickly, so an automatic pair takes steps at which these would grow, until
they show; what it estimates from its stages tells as little. Cotangents of noisy data are full of them, and would grow by many
powers of ten (diffusion on 60 cells in `tests/cross/test_verify.py`).
"""
function largest_rate(f, u, p, t)
    slope, moved, point = similar(u), similar(u), similar(u)
    v = [sin(1.0e4 * k^2) for k in eachindex(u)] # without a pattern, and the same each time
    v ./= norm(v)
    f(slope, u, p, t)
    step = sqrt(eps()) * max(norm(u), floatmin())
    total, counted = 0.0, 0
    for k in 1:30
        point .= u .+ step .* v
        f(moved, point, p, t)
        v .= (moved .- slope) ./ step
        size = norm(v)
        isfinite(size) && size > 0 || return 0.0
        v ./= size
        k > 10 && (total += log(size); counted += 1) # sizes alternate where an eigenvalue is imaginary
    end
    return exp(total / counted)
end

"Without events and mass matrix: all ways to gradients are right."
is_plain(o) = isempty(o.options.events) && !has_mass(o.f)

"One method for a problem: as the automatic pair would begin, or the stiff one."
choose_algorithm(o, x) = has_mass(o.f) || is_stiff(o, x) ? "Rodas5P" : o.options.rtol < 1.0e-6 ? "Vern7" : "Tsit5"

const MOST_TANGENTS = 40
const MOST_STIFF = 100

"The steps reversed, where they can be; tangents for few elements of x; for many, the adjoint equation."
function choose_sensitivity(o, n_x)
    is_reversed(o) && return "discrete"
    is_plain(o) || return ""
    few = is_stiff(method_of(o.word)) ? n_states(o) * (n_x + 1) <= MOST_STIFF : n_x <= MOST_TANGENTS
    return few ? "forward" : "gauss"
end

"Pick the sensitivity if that was left to us, and load what it needs; \"\" if it can't go with the method."
function choose_sensitivity!(o, n_x)
    o.picks_sensitivity && (o.sensitivity = choose_sensitivity(o, n_x))
    o.sensitivity == "discrete" && !is_reversed(o) && (o.sensitivity = "")
    o.sensitivity in (OWN..., "") || load_adjoints()
    return nothing
end

"Pick the method anew, if the sensitivity can go with it."
function look_again!(o, x)
    word, o.word = o.word, choose_algorithm(o, x)
    is_fixed = !o.picks_sensitivity || !is_plain(o)
    o.sensitivity == "discrete" && is_fixed && !is_reversed(o) && (o.word = word)
    return choose_sensitivity!(o, length(x))
end
