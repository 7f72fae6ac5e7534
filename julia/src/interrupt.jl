# What stops a call from outside: Python's flag, or that it takes longer than Python wants to wait for it.

const LATE = 2

"Raised by Python to stop a call (1), and here when it is late (2). Atomic, since another thread writes it through its address."
const INTERRUPT = Threads.Atomic{Int}(0)

"Nanoseconds that the next call may take, set by Python; 0: any."
const ALLOWED = Threads.Atomic{Int}(0)

"When the present call is late, by `time_ns`, and how often that was looked at."
const DEADLINE = Ref(typemax(UInt64))
const ASKED = Ref(0)

function start_clock!()
    DEADLINE[] = ALLOWED[] == 0 ? typemax(UInt64) : time_ns() + ALLOWED[]
    return nothing
end

"Whether to stop; looked at after each step, so the clock is read at each 32nd only."
function is_interrupted()
    if DEADLINE[] != typemax(UInt64) && (ASKED[] += 1) % 32 == 0 && time_ns() > DEADLINE[]
        Threads.atomic_cas!(INTERRUPT, 0, LATE)
    end
    return INTERRUPT[] != 0
end
