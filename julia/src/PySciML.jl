"""
The Julia half of pysciml: generated right-hand sides, solved, differentiated and fitted by the SciML stack.

Python calls the functions of `bridge.jl` and `asked.jl` and nothing else. Every generated callable reaches the solvers under one fixed
type, so that a new model compiles no solver. Packages that few solves need load at their first use; what is compiled beforehand
for them is in `ext/`.
"""
module PySciML

using ADTypes: AutoFiniteDiff
using Base.Broadcast: Broadcasted
using Base.Experimental: @opaque
using Core: OpaqueClosure
using CRC32c: crc32c
using DiffEqBase: DiffEqBase, BrownFullBasicInit, NoInit
using FastBroadcast: FastBroadcast
using ForwardDiff: ForwardDiff, Dual, Partials, partials, value
using LineSearches: LineSearches
using LinearAlgebra: LinearAlgebra, BLAS, Diagonal, Tridiagonal, diag, ldiv!, lu, lu!, mul!, norm
using LinearSolve: LinearSolve
using Optim: Optim
using Optimisers: Optimisers
using OrdinaryDiffEqCore: OrdinaryDiffEqCore, AutoAlgSwitch, CompositeCache, ODE_DEFAULT_NORM
using OrdinaryDiffEqDifferentiation: OrdinaryDiffEqDifferentiation
using OrdinaryDiffEqLowOrderRK: OrdinaryDiffEqLowOrderRK
using OrdinaryDiffEqRosenbrock: OrdinaryDiffEqRosenbrock
using OrdinaryDiffEqTsit5: OrdinaryDiffEqTsit5
using OrdinaryDiffEqVerner: OrdinaryDiffEqVerner
using PrecompileTools: @compile_workload, @setup_workload
using RuntimeGeneratedFunctions: RuntimeGeneratedFunctions, RuntimeGeneratedFunction
using SciMLBase: SciMLBase, DiscreteCallback, ODEFunction, ODEProblem, ReturnCode, remake, solve, terminate!
using SparseArrays: SparseMatrixCSC, dropzeros!, findnz, nonzeros, sparse
using SparseMatrixColorings: ColoringProblem, GreedyColoringAlgorithm, fast_coloring

RuntimeGeneratedFunctions.init(@__MODULE__)

include("interrupt.jl")
include("threads.jl")
include("numpy_ops.jl")
include("factors.jl")
include("program.jl")
include("arrays.jl")
include("generated.jl")
include("products.jl")
include("problems.jl")
include("device.jl")
include("observables.jl")
include("derivatives.jl")
include("dense.jl")
include("lanes.jl")
include("tight.jl")
include("packages.jl")
include("algorithms.jl")
include("options.jl")
include("automatic.jl")
include("retcodes.jl")
include("events.jl")
include("path.jl")
include("algebraic.jl")
include("rows.jl")
include("kept.jl")
include("solve.jl")
include("guard.jl")
include("ensemble.jl")
include("steps.jl")
include("members.jl")
include("objective.jl")
include("sensitivities.jl")
include("explicit.jl")
include("rosenbrock.jl")
include("discrete.jl")
include("jumps.jl")
include("replay.jl")
include("checkpoints.jl")
include("lane_sums.jl")
include("sums.jl")
include("journal.jl")
include("fit.jl")
include("asked.jl")
include("bridge.jl")
include("exchange.jl")
include("precompile.jl")

end
