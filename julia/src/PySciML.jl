"""
The Julia half of pysciml: generated right-hand sides, solved, differentiated and fitted by the SciML stack.

Python calls the functions of `bridge.jl` and nothing else. Every generated callable reaches the solvers under one fixed
type, so that a new model compiles no solver.
"""
module PySciML

using ADTypes: AutoFiniteDiff
using DiffEqBase: BrownFullBasicInit
using ForwardDiff: ForwardDiff, Dual, Partials, partials, value
using FunctionWrappers: FunctionWrapper
using LineSearches: LineSearches
using LinearAlgebra: LinearAlgebra, Diagonal, Tridiagonal, diag, lu, mul!, norm
using Optim: Optim
using Optimisers: Optimisers
using LinearSolve: LinearSolve
using OrdinaryDiffEqBDF: OrdinaryDiffEqBDF
using OrdinaryDiffEqCore: CompositeAlgorithm, OrdinaryDiffEqCore, ODE_DEFAULT_NORM
using OrdinaryDiffEqDefault: DefaultODEAlgorithm
using OrdinaryDiffEqLowOrderRK: OrdinaryDiffEqLowOrderRK
using OrdinaryDiffEqNonlinearSolve: NLAnderson, NLFunctional, NLNewton
using OrdinaryDiffEqRosenbrock: OrdinaryDiffEqRosenbrock
using OrdinaryDiffEqSDIRK: OrdinaryDiffEqSDIRK
using OrdinaryDiffEqTsit5: OrdinaryDiffEqTsit5
using OrdinaryDiffEqVerner: OrdinaryDiffEqVerner
using PrecompileTools: @compile_workload, @setup_workload
using QuadGK: quadgk
using ReverseDiff: ReverseDiff, TrackedReal
using RuntimeGeneratedFunctions: RuntimeGeneratedFunctions, RuntimeGeneratedFunction
using SciMLBase: SciMLBase, DiscreteCallback, ODEFunction, ODEProblem, ReturnCode, remake, solve, terminate!
using SciMLSensitivity: SciMLSensitivity, AdjointSensitivityIntegrand, BacksolveAdjoint, GaussAdjoint, InterpolatingAdjoint,
    ODEAdjointProblem, QuadratureAdjoint, adjoint_sensitivities
using SparseArrays: SparseMatrixCSC, nonzeros, sparse
using SparseMatrixColorings: ColoringProblem, GreedyColoringAlgorithm, fast_coloring

RuntimeGeneratedFunctions.init(@__MODULE__)

include("numpy_ops.jl")
include("program.jl")
include("generated.jl")
include("problems.jl")
include("observables.jl")
include("derivatives.jl")
include("algorithms.jl")
include("options.jl")
include("retcodes.jl")
include("events.jl")
include("solve.jl")
include("sensitivities.jl")
include("fit.jl")
include("bridge.jl")
include("precompile.jl")

end
