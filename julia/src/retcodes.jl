# How a solve ended, as a name that Python's table knows.

const INTERRUPTED = "Interrupted"

"SciML's return code by its name, or our own where the interrupt flag ended the solve."
function return_name(code::ReturnCode.T)
    code == ReturnCode.Terminated && is_interrupted() && return INTERRUPTED
    return string(Symbol(code))
end
