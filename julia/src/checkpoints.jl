# Steps taken again for `discrete.jl`, where a solve's path holds some of its states only.

"The states at all steps of a path, by the step's number; best asked for in falling order."
mutable struct Retraced{T}
    const path::Path
    const f::RightHandSide
    const tableau::T
    const events::Events
    const p::Vector64 # its own where events change parameters
    first::Int # the place of the kept state behind which `between` is; -1: nowhere
    const between::Vector{Vector64}
end

Retraced(path, f, tableau, events, p) = Retraced(path, f, tableau, events, p, -1, Vector64[])

"The state at the start of step s, before what fires there; nothing if interrupted."
function Base.getindex(u::Retraced, s)
    place, offset = divrem(s - 1, u.path.stride)
    offset == 0 && return u.path.states[place + 1]
    u.first == place || retrace!(u, place) || return nothing
    return u.between[offset]
end

"Take the steps behind the state kept at a place again; whether that was not interrupted."
retrace!(u::Retraced, place) = retrace!(u, place, StepMemory(u.f, u.tableau, length(u.path.states[1]), 0, Block[]))
function retrace!(u, place, memory)
    (; t, stride, states) = u.path
    empty!(u.between)
    state, start = states[place + 1], place * stride + 1
    u.first = -1
    set_parameters!(u.p, u.events, t, start - 1)
    for s in start:min(start + stride - 2, length(t) - 1)
        is_interrupted() && return false
        state = start_state(u.events, state, u.p, t[s], s)
        step = Step(t[s], t[s + 1] - t[s], t[s + 1], state, state, NOT_KEPT, NO_FACTORS)
        find_stages!(memory, u.f, u.tableau, step, u.p, false)
        state = end_step!(copy(state), memory, u.tableau, step.h)
        push!(u.between, state)
    end
    u.first = place
    return true
end
