# Members of an ensemble, each solved from start to end by one function of numbers: in float32, and on GPUs (`ext/PySciMLKernelsExt.jl`).

const ENDINGS = ("Success", "MaxIters", "DtLessThanMin", "Unstable", "MaxIters")
const STIFF_STEPS, CALM_STEPS = 15, 6 # steps near stability's boundary that tell, and others in a row that clear the count
const REACHED, LIMITED, STUCK, NOT_FINITE, STIFF, UNTOUCHED = 0, 1, 2, 3, 4, -1

"What all members have in common, in numbers of one type."
struct MemberOptions{T}
    start::T
    stop::T
    rtol::T
    atol::T
    dt::T # 0: chosen
    dtmax::T
    max_steps::Int
    patience::T # steps still to go from which on stiffness matters; infinity: it never does
end

"Of one type: what is known of members, columns of `u0` and `p` (one, if all have the same), and what becomes of them."
struct Members{M, V, C}
    u0::M
    p::M
    saveat::V
    stops::V
    u::M # (states at all save times, member)
    codes::C
    counts::C # (steps tried and rejected, one member's after the other's)
end

@inline error_size(error::NTuple{N}, u, y, o::MemberOptions{T}) where {N, T} =
    sqrt(sum(ntuple(i -> @inbounds(abs2(error[i] / (o.atol + o.rtol * max(abs(u[i]), abs(y[i]))))), Val(N))) / T(N))

@inline is_finite(u) = all(map(isfinite, u))

"`x^y` of a positive number."
@inline raise(x, y) = exp(y * log(x))

"Hairer, Nørsett, Wanner (1993), section II.4, doi:10.1007/978-3-540-78862-1, with a share of the span in the place of a time."
@inline function first_step(steps, k1, t, u, p, o::MemberOptions{T}) where {T}
    span = o.stop - o.start
    extent, slope = error_size(u, u, u, o), error_size(k1, u, u, o)
    h = extent < T(1.0e-5) || slope < T(1.0e-5) ? T(1.0e-6) * span : T(0.01) * extent / slope
    h = min(h, span)
    bend = error_size(map(-, steps.slope(t + h, combine(u, h, (one(T),), (k1,)), p), k1), u, u, o) / h
    largest = max(slope, bend)
    largest * span <= T(1.0e-15) && return min(max(T(1.0e-6) * span, h / 1000), span)
    return isfinite(largest) ? min(100 * h, raise(T(0.01) / largest, 1 / T(steps.order + 1)), span) : h
end

"Solve member k of some: the loop of an adaptive method with PI control, in which a trial that isn't finite is a rejected one."
@inline function solve_column!(m::Members, steps, o::MemberOptions{T}, ::Val{N}, k) where {T, N}
    u = ntuple(i -> @inbounds(m.u0[i, k]), Val(N))
    p = @inbounds view(m.p, :, min(k, size(m.p, 2)))
    t, n_steps, n_rejected, n_stiff, n_calm, stop = o.start, 0, 0, 0, 0, 1
    row = keep_first!(m, k, t, u)
    info = begin_slopes(steps, t, u, p)
    slope = first_slope(steps, info)
    code = is_finite(slope) && is_finite(u) ? REACHED : NOT_FINITE
    h = o.dt > 0 || code != REACHED ? o.dt : first_step(steps, slope, t, u, p, o)
    last_size, order = T(1.0e-4), T(steps.order)
    while t < o.stop && code == REACHED
        if n_steps >= o.max_steps
            code = LIMITED
            break
        end
        stop = next_stop(m.stops, stop, t)
        target = stop <= length(m.stops) ? min(@inbounds(m.stops[stop]), o.stop) : o.stop
        h = min(h, o.dtmax)
        is_cut = t + T(1.0001) * h >= target
        step = is_cut ? target - t : h
        t_next = is_cut ? target : t + step
        y, error, stages, info_next, nearness = take_step(steps, info, t, u, step, p)
        n_steps += 1
        scaled = is_finite(y) ? error_size(error, u, y, o) : T(NaN)
        if scaled <= 1
            if row <= length(m.saveat) && @inbounds(m.saveat[row]) <= t_next
                row = keep_states!(m, steps, row, k, t, t_next, u, y, step, stages, p)
            end
            factor = step_factor(scaled, last_size, order)
            last_size = max(scaled, T(1.0e-4))
            t, u = t_next, y
            info = info_next === nothing ? begin_slopes(steps, t, u, p) : info_next
            h = is_cut ? max(h, step * factor) : step * factor
            is_near = nearness > T(0.8)
            n_calm = is_near ? 0 : n_calm + 1
            n_stiff = is_near ? n_stiff + 1 : n_calm >= CALM_STEPS ? 0 : n_stiff
            n_stiff >= STIFF_STEPS && (o.stop - t) > o.patience * step && (code = STIFF)
        else
            n_rejected += 1
            h = step * (isfinite(scaled) ? max(T(0.2), T(0.9) * raise(scaled, -T(0.7) / order)) : T(0.2))
            h <= 4 * eps(T) * max(abs(t), floatmin(T) / eps(T)^2) && (code = isfinite(scaled) ? STUCK : NOT_FINITE)
        end
    end
    @inbounds m.codes[k], m.counts[2k - 1], m.counts[2k] = code % Int32, n_steps % Int32, n_rejected % Int32
    return nothing
end

"How much longer the next step is after one with an error of `scaled` tolerances."
@inline function step_factor(scaled::T, last_size, order) where {T}
    factor = T(0.9) * raise(max(scaled, T(1.0e-10)), -T(0.7) / order) * raise(last_size, T(0.4) / order)
    return clamp(factor, T(0.2), T(10))
end

@inline function next_stop(stops, stop, t)
    while stop <= length(stops) && @inbounds(stops[stop]) <= t
        stop += 1
    end
    return stop
end

"The row of the first save time after the start, where the state is kept."
@inline function keep_first!(m, k, t, u)
    row = 1
    while row <= length(m.saveat) && @inbounds(m.saveat[row]) <= t
        keep_state!(m.u, row, k, u)
        row += 1
    end
    return row
end

@inline function keep_state!(out, row, k, u::NTuple{N}) where {N}
    ntuple(i -> (@inbounds(out[(row - 1) * N + i, k] = u[i]); nothing), Val(N))
    return nothing
end

"Rows of the save times in a step."
@inline function keep_states!(m, steps, row, k, t, t_next, u, y, h, stages, p)
    all_stages = extend_stages(steps, t, u, h, stages, p)
    while row <= length(m.saveat) && @inbounds(m.saveat[row]) <= t_next
        time = @inbounds m.saveat[row]
        keep_state!(m.u, row, k, time == t_next ? y : steps.between((time - t) / h, u, h, all_stages))
        row += 1
    end
    return row
end

const BLOCK = 32 # members that a task takes at a time

"Solve some members on threads."
function solve_columns!(::Val{:cpu}, m, steps, o, n, members, n_tasks)
    share_out(n_tasks, cld(length(members), BLOCK)) do _, block
        for place in ((block - 1) * BLOCK + 1):min(block * BLOCK, length(members))
            is_interrupted() && return
            solve_column!(m, steps, o, n, members[place])
        end
    end
    return m
end

"The functions of a model and methods, by their texts."
function load_steps(words, orders, n, texts)
    slope, jacobian, time_slope = (isempty(text) ? nothing : scalar_function(text) for text in texts)
    return map(words, orders) do word, order
        word in EXPLICIT ? explicit_steps(word, order, slope) : rosenbrock_steps(word, order, n, slope, jacobian, time_slope)
    end
end

"""
Solve all members by the first method, and those that it finds stiff by the second, if there is one. In numbers of type T on a
device.
"""
function solve_members(::Type{T}, device, e::Ensemble, stops, numbers, steps, n_tasks) where {T}
    n = size(e.u0, 1)
    rtol, atol, dt, dtmax, max_steps = numbers
    make_options(patience) = MemberOptions{T}(
        e.span..., rtol, atol, dt, dtmax > 0 ? dtmax : e.span[2] - e.span[1], max_steps, patience
    )
    m = Members(
        T.(e.u0), T.(e.p), T.(e.saveat), T.(stops), fill(T(NaN), size(e.u)), fill(Int32(UNTOUCHED), length(e.codes)),
        zeros(Int32, 2 * length(e.codes))
    )
    patience = length(steps) > 1 ? T(500) : T(Inf)
    m = solve_columns!(device, m, steps[1], make_options(patience), Val(n), collect(1:length(e.codes)), n_tasks)
    stiff = findall(==(STIFF), m.codes)
    isempty(stiff) || (m = solve_columns!(device, m, steps[2], make_options(T(Inf)), Val(n), stiff, n_tasks))
    e.u .= m.u
    is_stiff = falses(length(e.codes))
    is_stiff[stiff] .= true
    for k in findall(!=(UNTOUCHED), m.codes)
        n_steps, n_rejected = m.counts[2k - 1], m.counts[2k]
        work = count_work(steps[is_stiff[k] ? 2 : 1], n_steps, n_rejected)
        note_ending!(e, k, code_of(ENDINGS[m.codes[k] + 1]), (n_steps, n_rejected, work...))
    end
    return length(stiff)
end

# ---- devices

const DEVICES = Dict{String, Any}("cpu" => Val(:cpu))

"""
    load_device(word)

Load what a device needs, "gpu" or "kernels" (what runs on GPUs, on the CPU): nothing, or why it can't be had. Its methods are seen by the
calls after this one.
"""
function load_device(word)
    word = string(word)
    haskey(DEVICES, word) && return ""
    found = load_for_device(word, "KernelAbstractions")
    found isa String && return found
    return try_load(nameof(found)) do
        Base.require(OPTIONAL["KernelAbstractions"])
        DEVICES[word] = Base.invokelatest(word == "gpu" ? found.CUDABackend : found.CPU)
    end
end
