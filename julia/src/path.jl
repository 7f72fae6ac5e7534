# What reversing the steps of a solve needs of it: their times, and the states there, all of them while they fit, else some, between
# which steps are taken again. Griewank, Walther (2000), doi:10.1145/347837.347846; here with one level, since how many steps
# come is not known beforehand.

const NOT_KEPT = Float64[]

"Bytes that a solve's states and stages may take: then stages go, then every other state, which are computed again when needed."
const MOST_BYTES = Ref(2^30)

"""
The times of all steps, and each `stride`-th state, the first included; no more than `most` of them. If it `keeps_stages`, then
those of all steps too, as SciML has them: a step's one after the other; of the first steps of a Rosenbrock method the factors, too.
`memory` is what steps are reversed with, once that was done.
"""
mutable struct Path
    const t::Vector64
    const states::Vector{Vector64}
    const stages::Vector{Vector64}
    const factors::Vector64 # of one step after the other
    keeps_stages::Bool
    bytes::Int
    stride::Int
    most::Int
    memory::Any
end

Path(t0) = Path([t0], Vector64[], Vector64[], Vector64(), false, 0, 1, 0, nothing)
Path(t0, u0, keeps_stages = false) = begin_path!(Path(t0), u0, keeps_stages)

"Begin, or begin again from elsewhere."
function begin_path!(path, u0, keeps_stages)
    (; t, states) = forget_steps!(path)
    resize!(t, 1)
    push!(states, copy(u0))
    path.keeps_stages, path.bytes, path.stride, path.most = keeps_stages, sizeof(u0), 1, max(2, MOST_BYTES[] ÷ sizeof(u0))
    return path
end

function forget_steps!(path::Path)
    foreach(empty!, (path.states, path.stages, path.factors))
    return path
end

"Note the end of a step; SciML's stages of one that was cut are not those of a step of its length."
function add_step!(path::Path, integrator, is_cut = false)
    push!(path.t, integrator.t)
    path.keeps_stages && store_stages!(path, is_cut ? Vector64[] : stages_of(integrator, integrator.cache))
    path.keeps_stages && !is_cut && store_factors!(path, integrator, integrator.cache)
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

"Bytes that factors may take; steps behind are factored again."
const MOST_FACTORS = 2^23

"Keep the factors of a step if they were made by loops that take longer than to copy them, and those of all steps before are kept."
store_factors!(path, integrator, cache) = nothing
function store_factors!(path, integrator, cache::TightRosenbrock)
    factors, kept = cache.linsolve.cacheval, path.factors
    factors isa FullFactors{Float64} && factors.large === nothing && isempty(factors.rows) || return nothing
    (; matrix, order) = factors
    size, start = length(matrix) + length(order), length(kept)
    start == (length(path.t) - 2) * size && start * sizeof(Float64) < MOST_FACTORS || return nothing
    resize!(kept, start + size)
    copyto!(kept, start + 1, matrix, 1, length(matrix))
    copyto!(kept, start + length(matrix) + 1, order, 1, length(order))
    return nothing
end

"Those of the s-th step, of n unknowns, none if they are not there."
function kept_factors(path, s, n)
    last = s * n * (n + 1)
    return last <= length(path.factors) ? view(path.factors, (last - n * (n + 1) + 1):last) : NO_FACTORS
end

const NO_FACTORS = view(NOT_KEPT, 1:0)

"""
Make them the factors that they were copied from, but of the matrix times -1, as the solver has its own: its upper part has the other
sign. Whether there were some.
"""
function restore_factors!(factors, kept)
    isempty(kept) && return false
    (; matrix, order) = factors
    n = length(order)
    @inbounds for j in 1:n
        @simd ivdep for i in 1:j
            matrix[i, j] = -kept[(j - 1) * n + i]
        end
        @simd ivdep for i in (j + 1):n
            matrix[i, j] = kept[(j - 1) * n + i]
        end
        order[j] = Int(kept[n * n + j])
    end
    factors.large = nothing
    return true
end
