"""What SciML's return codes mean in our words: a total table. ``julia/src/retcodes.jl`` adds two names of its own."""

from ..base import Status

STATUS: dict[str, Status] = {
    "Default": Status.SUCCESS,  # a solve that was never told how it ended
    "Success": Status.SUCCESS,
    "Terminated": Status.TERMINATED,
    "DtNaN": Status.UNSTABLE,
    "MaxIters": Status.MAX_STEPS,
    "MaxNumSub": Status.FAILED,
    "MaxTime": Status.TIME_LIMIT,
    "DtLessThanMin": Status.STEP_TOO_SMALL,
    "Unstable": Status.UNSTABLE,
    "InitialFailure": Status.FAILED,
    "ConvergenceFailure": Status.NOT_CONVERGED,
    "Failure": Status.FAILED,
    "ExactSolutionLeft": Status.SUCCESS,
    "ExactSolutionRight": Status.SUCCESS,
    "FloatingPointLimit": Status.SUCCESS,
    "Infeasible": Status.FAILED,
    "InternalLineSearchFailed": Status.NOT_CONVERGED,
    "InternalLinearSolveFailed": Status.NOT_CONVERGED,
    "ShrinkThresholdExceeded": Status.NOT_CONVERGED,
    "Stalled": Status.NOT_CONVERGED,
    "StalledSuccess": Status.SUCCESS,
    "APosterioriSafetyFailure": Status.FAILED,
    "Interrupted": Status.INTERRUPTED,  # ours: the flag was raised
    "Zeno": Status.ZENO,  # ours: firings of an event pile up
}


def read_return_code(name: str) -> Status:
    """Our status of a return code, by its name."""
    return STATUS.get(name, Status.FAILED)
