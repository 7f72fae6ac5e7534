# What reversing the steps of a solve needs of it: their times, and the states there, all of them while they fit, else some, between
# which steps are taken again. Griewank, Walther (2000), doi:10.1145/347837.347846; here with one level, since how many steps
# come is not known beforehand.

"Bytes that the states of a solve may take until only some are kept; with those taken again it may become twice as much."
const MOST_BYTES = Ref(2^30)

"The times of all steps, and each `stride`-th state, the first included; no more than `most` of them."
mutable struct Path
    const t::Vector64
    const states::Vector{Vector64}
    stride::Int
    const most::Int
end

Path(t0, u0) = Path([t0], [copy(u0)], 1, max(2, MOST_BYTES[] ÷ sizeof(u0)))

"Note the end of a step. Where there is no room, every other state goes."
function add_step!(path::Path, integrator)
    push!(path.t, integrator.t)
    is_due() = (length(path.t) - 1) % path.stride == 0
    if is_due() && length(path.states) >= path.most
        deleteat!(path.states, 2:2:length(path.states))
        path.stride *= 2
    end
    is_due() && push!(path.states, copy(integrator.u))
    return nothing
end
