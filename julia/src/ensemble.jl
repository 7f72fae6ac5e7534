# Ensembles: trajectories of one model, shared out over threads, and over lanes: neighbours solved as one wide problem, whose loops
# over lanes use a processor's vectors. In a wide state the lanes of the first element come first, then those of the second.

"Memory of its own for each of several tasks that run side by side."
fork(::Nothing) = nothing
fork(work::Work) = Work(work.constants, work.constant_flags, work.indices, work.n_numbers, length(work.flags))
fork(program::Program) = Program(program.function!, fork(program.work), fork(program.pullback), program.blocks)
fork(generated::T) where {T <: Union{Generated, GeneratedProduct, GeneratedSecond}} = T(fork(generated.program))
fork(d::Derivatives) = Derivatives(
    fork(d.entries), d.rows, d.columns, similar(d.values), d.prototype, fork(d.time), fork(d.product), fork(d.second),
    d.factorisation
)
fork(f::RightHandSide) = with_stored_mass(RightHandSide(fork(f.generic.program), fork(f.derivatives)), f.mass_matrix)

fork(e::Event) = Event(
    fork(e.condition), fork(e.effect), e.times, e.rows, e.u_index, e.p_index, e.is_terminal, e.direction, e.is_before
)
fork(events::Events) = Events(map(fork, events.list))
fork(o::Options) = Options(o.rtol, o.atol, o.dt, o.dtmax, o.max_steps, o.max_seconds, o.tstops, o.adaptive, fork(o.events), o.norm)

"The first `n` copies of a right-hand side, itself among them; kept with it."
function forks(f::RightHandSide, n)
    found = get!(() -> [f], f.memory, :forks)::Vector{RightHandSide}
    while length(found) < n
        push!(found, fork(f))
    end
    return found[1:n]
end

"What all trajectories have in common, and room for what becomes of each: a column. Of `u0` or `p` there is one, if all have the same."
struct Ensemble
    u0::Matrix{Float64} # (state, member)
    p::Matrix{Float64} # (parameter, member)
    span::Tuple{Float64, Float64}
    spec::String
    saveat::Vector64
    u::Matrix{Float64} # (states at all save times, member), NaN where a solve did not get to
    codes::Vector{Int32} # places among `RETURN_CODES`
    counts::Matrix{Int32} # (statistic, member)
    firings::Vector{Tuple{Vector64, Vector{Int}}} # a member's times at which events fired, and which; empty if there are no events
end

function Ensemble(u0, p, span, spec, saveat, has_events = false)
    n, members = size(u0, 1), max(size(u0, 2), size(p, 2))
    u, codes = fill(NaN, n * length(saveat), members), ones(Int32, members) # until it is solved, a member counts as interrupted
    firings = [(Float64[], Int[]) for _ in 1:(has_events ? members : 0)]
    return Ensemble(u0, p, span, spec, saveat, u, codes, zeros(Int32, 5, members), firings)
end

"What a task works with: a right-hand side, what else it writes to, and the words of methods that it ran."
struct Worker
    f::RightHandSide
    options::Options
    rows::Rows
    kept::Kept
    words::Set{String}
end

make_worker(f, options, saveat, n) = Worker(f, options, Rows(saveat, n), Kept(), Set{String}())

"The lanes of a task: a wide right-hand side, its state and its parameters (one column, if all members have the same)."
struct Lanes
    worker::Worker
    spec::String
    n::Int
    u0::Vector64
    p::Vector64
end

"A solution into a worker's rows, by the integrator of the last one if that was kept."
function solve_worker!(worker, spec, u0, p, span)
    worker.rows.n = 0
    worker.rows.is_used = is_warm(worker.kept) # else the solver says whether
    worker.rows.is_used && return solve_next!(worker.kept, spec, worker.options, u0, p)
    return solve_problem(make_problem(worker.f, u0, p, span), spec, worker.options; record = worker.rows, worker.kept)
end

"Solve into a worker's rows: the return code's name, and the statistics."
function solve_rows!(worker, spec, u0, p, span)
    code, counts = try
        t, u, found... = outcome(solve_worker!(worker, spec, u0, p, span))
        worker.rows.is_used || copy_rows!(worker.rows, t, u)
        found
    catch error
        found = thrown_code(error)
        found === nothing && rethrow()
        found, NOTHING_DONE
    end
    isempty(worker.options.events) || put_samples!(worker.rows, worker.options.events)
    push!(worker.words, members_used(spec, worker.options.rtol, length(u0)))
    return first(ending(code, take_integrator(), span[1], u0)), counts
end

"States that rows at events hold; an event that ends the solve ends its rows."
function put_samples!(rows::Rows, events::Events)
    events.is_over && (rows.n = min(rows.n, searchsortedlast(rows.times, events.times[end])))
    put_samples!(rows.u, view(rows.times, 1:(rows.n)), events)
    return nothing
end

"What Sundials saved."
function copy_rows!(rows, t, u)
    rows.n = reached_rows(t, rows.times)
    for k in 1:(rows.n)
        rows.u[:, k] = u[k]
    end
    return nothing
end

own_column(columns, k) = columns[:, min(k, end)]

function solve_member!(e::Ensemble, worker, k)
    name, counts = solve_rows!(worker, e.spec, own_column(e.u0, k), own_column(e.p, k), e.span)
    copyto!(e.u, (k - 1) * size(e.u, 1) + 1, worker.rows.u, 1, size(e.u0, 1) * worker.rows.n)
    note_ending!(e, k, code_of(name), counts)
    events = worker.options.events
    isempty(events) || (e.firings[k] = (copy(events.times), copy(events.fired)))
    return nothing
end

code_of(name) = findfirst(==(name), RETURN_CODES)

function note_ending!(e, k, code, counts)
    e.codes[k] = code
    e.counts[:, k] .= counts .% Int32
    return nothing
end

"Neighbouring members as one problem; each by itself if that does not get to the end."
function solve_group!(e::Ensemble, worker, lanes::Lanes, group)
    members = ((group - 1) * lanes.n + 1):min(group * lanes.n, length(e.codes))
    spread!(lanes.u0, e.u0, members, lanes.n)
    length(lanes.p) == size(e.p, 1) ? copyto!(lanes.p, view(e.p, :, 1)) : spread!(lanes.p, e.p, members, lanes.n)
    name, counts = solve_rows!(lanes.worker, lanes.spec, copy(lanes.u0), lanes.p, e.span)
    if name != "Success" || lanes.worker.rows.n < length(e.saveat)
        name == INTERRUPTED || foreach(k -> is_interrupted() || solve_member!(e, worker, k), members)
        return nothing
    end
    gather!(e.u, lanes.worker.rows.u, members, lanes.n)
    code = code_of(name)
    foreach(k -> note_ending!(e, k, code, counts), members)
    return nothing
end

"Columns of some members side by side; lanes without a member repeat the last one."
function spread!(wide, columns, members, n)
    for k in axes(columns, 1), lane in 1:n
        wide[(k - 1) * n + lane] = columns[k, min(members[min(lane, end)], size(columns, 2))]
    end
    return wide
end

"And back: rows `(state and lane, time)` as columns `(states at all times, member)`."
function gather!(columns, rows, members, n)
    n_states = size(rows, 1) ÷ n
    for (lane, member) in enumerate(members), time in axes(rows, 2), k in 1:n_states
        columns[(time - 1) * n_states + k, member] = rows[(k - 1) * n + lane, time]
    end
    return nothing
end

"""
Call `run(task, k)` for k from 1 to `count`, in one task a thread, the first in this one; each takes the next k when it is done.
"""
function share_out(run, n_tasks, count; shows_progress = true)
    next = Threads.Atomic{Int}(1)
    function work(task)
        while !is_interrupted()
            k = Threads.atomic_add!(next, 1)
            k <= count || break
            run(task, k)
            shows_progress && (PROGRESS[6] = k / count)
        end
    end
    n_tasks == 1 && return work(1)
    others = filter(!=(Threads.threadid()), Threads.threadpooltids(:default))
    IS_SHARED[] = true
    tasks = [start_on(() -> work(task), id) for (task, id) in zip(2:n_tasks, others)]
    try
        work(1)
    finally
        foreach(Base._wait, tasks)
        IS_SHARED[] = false
    end
    for task in tasks
        istaskfailed(task) && throw(task.result)
    end
    return nothing
end

"A task that stays on one thread: solves keep notes by thread."
function start_on(work, id)
    task = Task(work)
    task.sticky = true
    ccall(:jl_set_task_tid, Cint, (Any, Cint), task, id - 1)
    return schedule(task)
end

const PROBES = 8 # members solved first, where "auto" has to see whether a problem is stiff
const SLACK = 4 # times as many steps as the slowest of these: then a group is solved one by one

"""
The most steps of a group: any, or with "auto" what some members, spread over all, let expect; 0 if one of these was stiff, and -1
if most were.
"""
function group_steps(e::Ensemble, workers)
    (; max_steps) = workers[1].options
    e.spec == "auto" || return max_steps
    members = unique(round.(Int, range(1, length(e.codes); length = PROBES)))
    is_stiff = fill(false, length(members))
    share_out(length(workers), length(members); shows_progress = false) do task, k
        solve_member!(e, workers[task], members[k])
        is_stiff[k] = notes().members[2]
    end
    n_stiff = count(is_stiff)
    n_stiff > 0 && return 2n_stiff >= length(members) ? -1 : 0
    return min(max_steps, SLACK * (100 + maximum(e.counts[1, members])))
end

"""
Make what tasks share before there are several: the algorithm, and the one that automatic solves of many states may hand over to.
Whether solves may run side by side: Sundials' may not.
"""
function prepare_tasks(e::Ensemble, f)
    problem = make_problem(f, e.u0[:, 1], e.p[:, 1], e.span)
    e.spec == "auto" || return make_algorithm(complete_spec(e.spec, problem)) isa OrdinaryAlgorithm
    size(e.u0, 1) > SMALL && multistep_algorithm(problem)
    return true
end

"""
Solve all members in some tasks; those of a group as lanes of the right-hand side `wide`, if there is one: the words that ran, and
how many lanes. Nothing if it `leaves_stiff` ones.
"""
function solve_all!(e::Ensemble, f, wide, n_lanes, has_wide_parameters, events, numbers, n_tasks, leaves_stiff)
    options(norm, most = numbers[5]) = make_options(numbers[1:4]..., most, numbers[6:8]..., fork(events), norm)
    workers = [make_worker(copy, options(Norm()), e.saveat, size(e.u0, 1)) for copy in forks(f, n_tasks)]
    most = wide === nothing ? 0 : group_steps(e, workers)
    leaves_stiff && most == -1 && return nothing
    if most <= 0
        share_out((task, k) -> solve_member!(e, workers[task], k), n_tasks, length(e.codes))
        return union((worker.words for worker in workers)...), 0
    end
    spec = e.spec == "auto" ? first(automatic_words(numbers[1], 1)) : e.spec
    n, m = size(e.u0, 1) * n_lanes, size(e.p, 1) * (has_wide_parameters ? n_lanes : 1)
    lanes = [
        Lanes(make_worker(copy, options(Norm(zeros(n_lanes)), most), e.saveat, n), spec, n_lanes, zeros(n), zeros(m))
            for copy in forks(wide, n_tasks)
    ]
    share_out((task, k) -> solve_group!(e, workers[task], lanes[task], k), n_tasks, cld(length(e.codes), n_lanes))
    return union((worker.words for worker in workers)..., (lane.worker.words for lane in lanes)...), n_lanes
end
