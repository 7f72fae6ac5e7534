# What reversing the steps of a solve needs of it: their times, and the states there, all of them while they fit, else some, between
# which steps are taken again. Griewank, Walther (2000), doi:10.1145/347837.347846; here with one level, since how many steps
# come is not known beforehand.

const NOT_KEPT = Float64[]

"Bytes that a solve's states and stages may take: then stages go, then every other state, which are computed again when needed."
const MOST_BYTES = Ref(2^30)

"""
The times of all steps, and each `stride`-th state, the first included; no more than `most` of them. If it `keeps_stages`, then
those of all steps too, as SciML has them: a step's one after the other.
"""
mutable struct Path
    const t::Vector64
    const states::Vector{Vector64}
    const stages::Vector{Vector64}
    keeps_stages::Bool
    bytes::Int
    stride::Int
    const most::Int
end

Path(t0, u0, keeps_stages = false) = Path(
    [t0], [copy(u0)], Vector64[], keeps_stages, sizeof(u0), 1, max(2, MOST_BYTES[] ÷ sizeof(u0))
)

"Note the end of a step; SciML's stages of one that was cut are not those of a step of its length."
function add_step!(path::Path, integrator, is_cut = false)
    push!(path.t, integrator.t)
    path.keeps_stages && store_stages!(path, is_cut ? Vector64[] : stages_of(integrator, integrator.cache))
    is_due() = (length(path.t) - 1) % path.stride == 0
    if is_due() && length(path.states) >= path.most
        deleteat!(path.states, 2:2:length(path.states))
        path.stride *= 2
    end
    is_due() && push!(path.states, copy(integrator.u))
    return nothing
end

"Those that a Rosenbrock step has left in its memory, or those of a dense solution."
stages_of(integrator, cache) = hasfield(typeof(cache), :ks) ? cache.ks : integrator.k

"Keep a step's stages, or none of any step where there is no room."
function store_stages!(path::Path, k)
    n = length(path.states[1])
    path.bytes += (1 + length(k)) * sizeof(path.states[1])
    if path.bytes <= MOST_BYTES[]
        kept = Vector64(undef, n * length(k))
        for j in eachindex(k)
            copyto!(kept, (j - 1) * n + 1, k[j], 1, n)
        end
        push!(path.stages, kept)
    else
        path.keeps_stages = false
        empty!(path.stages)
    end
    return nothing
end
