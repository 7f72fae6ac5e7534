# What reversing the steps of a solve needs of it: their times, and the states there, all of them while they fit, else some, between
# which steps are taken again. Griewank, Walther (2000), doi:10.1145/347837.347846; here with one level, since how many steps
# come is not known beforehand.

const NOT_KEPT = Vector64[]

"Bytes that a solve's states and stages may take: then stages go, then every other state, which are computed again when needed."
const MOST_BYTES = Ref(2^30)

"""
The times of all steps, and each `stride`-th state, the first included; no more than `most` of them. If it `keeps_stages`, then
those of all steps too, as SciML keeps them for a dense solution.
"""
mutable struct Path
    const t::Vector64
    const states::Vector{Vector64}
    const stages::Vector{Vector{Vector64}}
    keeps_stages::Bool
    bytes::Int
    stride::Int
    const most::Int
end

Path(t0, u0, keeps_stages = false) = Path(
    [t0], [copy(u0)], Vector{Vector64}[], keeps_stages, sizeof(u0), 1, max(2, MOST_BYTES[] ÷ sizeof(u0))
)

"Note the end of a step; SciML's stages of one that was cut are not those of a step of its length."
function add_step!(path::Path, integrator, is_cut = false)
    push!(path.t, integrator.t)
    path.keeps_stages && store_stages!(path, is_cut ? NOT_KEPT : integrator.k)
    is_due() = (length(path.t) - 1) % path.stride == 0
    if is_due() && length(path.states) >= path.most
        deleteat!(path.states, 2:2:length(path.states))
        path.stride *= 2
    end
    is_due() && push!(path.states, copy(integrator.u))
    return nothing
end

"Keep a step's stages, or none of any step where there is no room."
function store_stages!(path::Path, k)
    path.bytes += (1 + length(k)) * sizeof(path.states[1])
    if path.bytes <= MOST_BYTES[]
        push!(path.stages, map(copy, k))
    else
        path.keeps_stages = false
        empty!(path.stages)
    end
    return nothing
end
