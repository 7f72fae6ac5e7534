"""
Members of ensembles on GPUs: the function that solves one, in a kernel of KernelAbstractions, which CUDA.jl brings. Its CPU backend
runs the same kernel where there is no GPU.
"""
module PySciMLKernelsExt

using KernelAbstractions: @index, @kernel, Backend, allocate
using PySciML: PySciML, Members, solve_column!

const GROUP = 64 # members of a block of threads: few, since each needs many registers

@kernel function solve_kernel!(u0, p, saveat, stops, u, codes, counts, steps, o, n, members)
    i = @index(Global, Linear)
    solve_column!(Members(u0, p, saveat, stops, u, codes, counts), steps, o, n, @inbounds(members[i]))
end

"Solve some members on a device; what became of them comes back."
function PySciML.solve_columns!(backend::Backend, m::Members, steps, o, n, members, n_tasks)
    bring(x) = copyto!(allocate(backend, eltype(x), size(x)...), x)
    given = map(bring, (m.u0, m.p, m.saveat, m.stops, m.u, m.codes, m.counts))
    solve_kernel!(backend, GROUP)(given..., steps, o, n, bring(members); ndrange = length(members))
    foreach(copyto!, (m.u, m.codes, m.counts), given[5:7]) # which wait for the kernel
    return m
end

end
