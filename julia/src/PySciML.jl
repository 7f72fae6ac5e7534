"""
The Julia half of pysciml: generated right-hand sides, solved, differentiated and fitted by the SciML stack.

Python calls the functions of `bridge.jl` and nothing else. Every generated callable reaches the solvers under one fixed
type, so that a new model compiles no solver.
"""
module PySciML

using ADTypes: AutoFiniteDiff
using ForwardDiff: ForwardDiff, Dual, Partials, partials, value
using FunctionWrappers: FunctionWrapper
using LineSearches: LineSearches
using LinearAlgebra: LinearAlgebra, mul!, norm
using Optim: Optim
using Optimisers: Optimisers
using OrdinaryDiffEqBDF: ABDF2, FBDF, QBDF, QNDF
using OrdinaryDiffEqCore: OrdinaryDiffEqCore, ODE_DEFAULT_NORM
using OrdinaryDiffEqDefault: DefaultODEAlgorithm
using OrdinaryDiffEqLowOrderRK: BS3, DP5, Euler, RK4
using OrdinaryDiffEqRosenbrock: Rodas4, Rodas5P, Rosenbrock23
using OrdinaryDiffEqSDIRK: ImplicitEuler, KenCarp3, KenCarp4, KenCarp5, Kvaerno3, Kvaerno4, Kvaerno5, TRBDF2
using OrdinaryDiffEqTsit5: Tsit5
using OrdinaryDiffEqVerner: Vern6, Vern7, Vern8, Vern9
using PrecompileTools: @compile_workload, @setup_workload
using QuadGK: quadgk
using ReverseDiff: ReverseDiff, TrackedReal
using RuntimeGeneratedFunctions: RuntimeGeneratedFunctions, RuntimeGeneratedFunction
using SciMLBase: SciMLBase, DiscreteCallback, ODEFunction, ODEProblem, ReturnCode, remake, solve, terminate!
using SciMLSensitivity: SciMLSensitivity, AdjointSensitivityIntegrand, BacksolveAdjoint, GaussAdjoint, InterpolatingAdjoint,
    ODEAdjointProblem, QuadratureAdjoint, adjoint_sensitivities

RuntimeGeneratedFunctions.init(@__MODULE__)

include("numpy_ops.jl")
include("program.jl")
include("problems.jl")
include("observables.jl")
include("algorithms.jl")
include("retcodes.jl")
include("solve.jl")
include("sensitivities.jl")
include("fit.jl")
include("bridge.jl")
include("precompile.jl")

end
