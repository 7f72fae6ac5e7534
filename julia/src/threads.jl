# How many threads BLAS uses. For small products they wait for each other longer than they work, by far where other processes
# want the cores too.

"States from which all are used."
const MANY_STATES = 500

"Whether several threads solve: then none writes at each step where another does."
const IS_SHARED = Ref(false)

"How many there are, as Julia or the user's OPENBLAS_NUM_THREADS has it."
const BLAS_THREADS = Ref(1)

function __init__()
    BLAS_THREADS[] = BLAS.get_num_threads()
    return nothing
end

function set_threads(n_states)
    wanted = n_states < MANY_STATES ? 1 : BLAS_THREADS[]
    BLAS.get_num_threads() == wanted || BLAS.set_num_threads(wanted)
    return nothing
end

"How many threads there are, by what uses them: with other ones, sums may be made in another order."
threads() = (("Julia", Threads.nthreads()), ("BLAS", BLAS_THREADS[]))
