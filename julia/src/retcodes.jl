# How a solve ended: a name that Python's table knows, and where a solve that failed stood.

const INTERRUPTED = "Interrupted"
const OVERDUE = "MaxTime"
const ZENO = "Zeno"
const STOPPED = (INTERRUPTED, OVERDUE, ZENO) # between two steps

"Every name that a solve's return code can have."
const RETURN_CODES = [INTERRUPTED; ZENO; [string(Symbol(code)) for code in instances(ReturnCode.T)]]

"""
SciML's return code by its name; our own where the interrupt flag or events that pile up ended the solve, and its "MaxTime" where the
clock did.
"""
function return_name(code::ReturnCode.T)
    code == ReturnCode.Terminated || return string(Symbol(code))
    is_interrupted() && return INTERRUPTED
    notes().is_overdue && return OVERDUE
    return notes().is_zeno ? ZENO : string(Symbol(code))
end

"""
    ending(code, integrator, t0, u0)

The name of how a solve ended, and the last time and state that it reached, or nothing after a success. An `integrator`
of nothing: it did not begin.
"""
function ending(code, integrator, t0, u0)
    name = return_name(code)
    name in STOPPED || !SciMLBase.successful_retcode(code) || return name, nothing
    integrator === nothing && return name, (Float64(t0), u0)
    return refine(name, integrator), (last_time(integrator), last_state(integrator, name))
end

"Sundials' time may become NaN."
last_time(integrator) = Float64(isfinite(integrator.t) ? integrator.t : integrator.tprev)

"The state at `integrator.t`: beside it stands that of the last step tried, which may have been rejected."
last_state(integrator, name) = collect(Float64, integrator.u) # Sundials'
last_state(integrator::OrdinaryDiffEqCore.ODEIntegrator, name) =
    collect(Float64, name in STOPPED ? integrator.u : integrator.uprev)

"""
What the last step tried tells: to SciML a step that can't be made smaller is unstable, whatever made it fail.
"""
refine(name, integrator) = name == "MaxIters" && integrator.t == integrator.tprev ? "DtLessThanMin" : name
function refine(name, integrator::OrdinaryDiffEqCore.ODEIntegrator)
    (name in ("Unstable", "DtLessThanMin") && !integrator.accept_step) || return name
    all(isfinite, integrator.u) || return "Unstable"
    return integrator.last_stepfail ? "ConvergenceFailure" : "DtLessThanMin"
end

"Called as a solve begins; notes, since what a solve throws says nothing of how far it came."
function keep_integrator(integrator)
    notes().integrator = integrator
    SciMLBase.u_modified!(integrator, false)
    return nothing
end

"The integrator of the solve that has just ended, or nothing if it did not begin."
get_integrator() = notes().integrator

"The same, kept no longer."
function take_integrator()
    own = notes()
    integrator, own.integrator = own.integrator, nothing
    return integrator
end
