"""A run of `index`: planned, carried out and remembered; or planned alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.audio.exclude import parse_patterns
from pe_search.audio.hashing import content_digest
from pe_search.audio.read import all_unreadable
from pe_search.directories import command_for, shown_store
from pe_search.errors import AudioError, StoreError
from pe_search.known.zones import NO_ZONE
from pe_search.model import Model
from pe_search.places import place_of
from pe_search.records import Clip, Problem
from pe_search.reports import IndexPlan, IndexSummary, Progress, Relocation
from pe_search.store import Store
from pe_search.store.facts import write_zones
from pe_search.store.listed import ListedPaths
from pe_search.store.roots import read_roots, write_roots
from pe_search.tasks.indexing import OnProblem, OnProgress, Work, run_index
from pe_search.tasks.pieces import take_in_left_over
from pe_search.tasks.planning import Plan, came_by_lists, plan_index
from pe_search.tasks.relocating import carry_out, recognised
from pe_search.tasks.roots import RunRoots, given_roots, known_roots
from pe_search.trust import trust_urls

if TYPE_CHECKING:
    from pe_search.pe_audio.checkpoint import Checkpoint

MakeWork = Callable[[Store, "Checkpoint", OnProgress, OnProblem], Work]


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is told to do.

    Attributes:
        given: Folders and files; if it is None and nothing is listed, all that earlier runs were given.
        listed: Those that a list names.
        exclude: Patterns; without `given`, beside those that each root was last indexed with.
        prune: As in `plan_index`.
        prune_lists: Whether what came by lists, and is not listed any more, leaves the store.
        rehash: As in `plan_index`.
        sidecars: As `with_sidecars` of `run_index`.
        zone: The time zone of what is below the roots; `zones.NO_ZONE` forgets it, None leaves it as it was.
    """

    given: Sequence[Path] | None
    listed: Sequence[Path] = ()
    exclude: Sequence[str] = ()
    prune: bool = False
    prune_lists: bool = False
    rehash: bool = False
    sidecars: bool = True
    zone: str | None = None

    @property
    def is_for_known_roots(self) -> bool:
        """Whether it goes through what earlier runs were given."""
        return self.given is None and not self.listed


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A plan with what else a run has to know.

    Attributes:
        by_lists: What came by lists alone, with what comes so now.
        unlisted: What of it is to go, and other paths that are known to be gone.
        relocated: Folders that were found again at other places.
    """

    plan: Plan
    roots: RunRoots
    by_lists: frozenset[str]
    unlisted: frozenset[str]
    relocated: tuple[Relocation, ...]


def index_paths(
    directory: Path,
    model: Model,
    job: Job,
    *,
    make_work: MakeWork | None = None,
    on_progress: OnProgress,
    on_problem: OnProblem,
) -> IndexSummary:
    """Bring a store up to date with some paths, and remember them: which were given, and which came by lists.

    Args:
        directory: The store's; one that is not there yet is made once there is a clip for it.
        model: The store's.
        job: What to do.
        make_work: Makes what embeds the clips; None to embed them in this process.
        on_progress: Called at the start, and now and then.
        on_problem: As in `run_index`; also with what is damaged in the store.
    """
    with ExitStack() as stack:
        store = None
        if model.has_store:
            model.refuse_other_windows()
            store = stack.enter_context(Store.open(directory, read_only=False, on_problem=on_problem))
            take_in_left_over(store)
        prepared = _prepared(directory, store, job, on_problem, is_to_do=True)
        plan, roots = prepared.plan, prepared.roots
        if plan.is_empty:
            for problem in plan.problems:
                on_problem(problem)
            return IndexSummary(problems=plan.problems, passed_over=plan.passed_over, found_nothing=True)
        bytes_total = sum(clip.size_bytes for clip in plan.to_read)

        def report(progress: Progress) -> None:
            on_progress(replace(progress, bytes_total=bytes_total, clips=len(plan.to_read)))

        report(Progress(0, 0, 0.0))
        if store is None and (unreadable := all_unreadable(plan.to_read, model.hearing)):
            # A model would have nothing to do.
            problems = (*plan.problems, *unreadable)
            for problem in problems:
                on_problem(problem)
            return IndexSummary(problems=problems, passed_over=plan.passed_over)
        try:
            trust_urls([*(job.given or ()), *job.listed], remember=True)
        except OSError as error:
            reason = f"what was named is not remembered: {error.strerror or error}"
            on_problem(Problem(Path(str(error.filename)), reason))
        checkpoint = model.checkpoint
        if store is None:
            store = stack.enter_context(Store.create(directory, model.new_manifest()))
        memory = ListedPaths(directory)
        # Before the clips, and let go of after them: whenever the run breaks off, what came by a list is known.
        memory.write(prepared.by_lists)
        write_roots(store.catalog, roots.begun())
        if job.zone is not None:
            write_zones(store.catalog, dict.fromkeys(roots.paths, None if job.zone == NO_ZONE else job.zone))
        load = partial(model.embedder_for_indexing, checkpoint)
        work = None
        if make_work is not None:
            model.loaded.compile_texts(checkpoint)
            work = make_work(store, checkpoint, report, on_problem)
        summary = run_index(
            plan, store, load, work=work, with_sidecars=job.sidecars, on_progress=report, on_problem=on_problem
        )
        if not summary.is_interrupted:
            memory.write(prepared.by_lists - prepared.unlisted)
            gone = [*roots.forgotten, *(roots.pruned() if job.prune else ())]
            write_roots(store.catalog, roots.ended(plan), forgotten=gone)
        return replace(summary, relocated=prepared.relocated)


def plan_paths(directory: Path, model: Model, job: Job, on_problem: Callable[[Problem], None]) -> IndexPlan:
    """What `index_paths` would do. No model is loaded, and nothing is written.

    Of files, only those are read that may be clips that were moved: as large as one that is gone.

    Args:
        directory: As in `index_paths`; so are the others.
        model: See above.
        job: See above. Its `rehash` is taken for False.
        on_problem: See above.
    """
    with ExitStack() as stack:
        store = None
        if model.has_store:
            model.refuse_other_windows()
            store = stack.enter_context(Store.open(directory, on_problem=on_problem))
        prepared = _prepared(directory, store, job, on_problem, is_to_do=False)
        plan, relocated = prepared.plan, [path for one in prepared.relocated for path in one.moved]
        for problem in plan.problems:
            on_problem(problem)
        held = store.catalog.stamps() if store else {}
        left_out = {one.clip.path for one in store.catalog.left_out()} if store else set()
        changed = {clip.path for clip in plan.to_read if str(clip.path) in held or clip.path in left_out}
        new = [clip for clip in plan.to_read if clip.path not in changed]
        moved = _moved(store, plan.to_remove, new) if store else {}
        return IndexPlan(
            new=tuple(clip.path for clip in new if clip.path not in moved),
            changed=tuple(clip.path for clip in plan.to_read if clip.path in changed),
            moved=(*moved, *relocated),
            gone=tuple(path for path in plan.to_remove if path not in moved.values()),
            left_out=plan.left_out,
            unchanged=plan.unchanged - len(relocated),
            problems=plan.problems,
            passed_over=plan.passed_over,
            found_nothing=plan.is_empty,
        )


def _prepared(
    directory: Path, store: Store | None, job: Job, on_problem: Callable[[Problem], None], *, is_to_do: bool
) -> _Prepared:
    before = read_roots(store.catalog) if store else ()
    if job.is_for_known_roots and not before:
        lack = (
            f"The store at {shown_store(directory)} knows no folder"
            if store
            else f"There is no store at {shown_store(directory)} yet"
        )
        command = command_for("index PATH", directory)
        raise StoreError(f"{lack}, so there is nothing to bring up to date; name a folder: {command}.")
    for window in store.catalog.find_damage() if store else ():
        on_problem(Problem(directory, f"{window}; its clip is embedded again once its folder is indexed"))
    trust_urls([*(job.given or ()), *job.listed])
    given = [Path(place_of(path)) for path in job.given or ()]
    relocated = []
    for moves, relocation in recognised(store, given) if store else ():
        relocated.append((moves, relocation))
        if store and is_to_do:
            carry_out(store, moves)
            before = read_roots(store.catalog)
    held, left_out = (store.catalog.stamps(), store.catalog.left_out()) if store else ({}, [])
    for moves, _ in [] if is_to_do else relocated:
        held, left_out = moves.applied(held, left_out)
    roots = known_roots(before, held) if job.is_for_known_roots else given_roots(job.given or (), job.exclude, before)
    remembered = ListedPaths(directory).read() if store else frozenset()
    by_lists = came_by_lists(remembered, job.listed, roots.paths, held)
    unlisted = by_lists - set(map(place_of, job.listed)) if job.prune_lists else frozenset()
    unlisted |= set(map(str, roots.forgotten))
    plan = plan_index(
        [*roots.paths, *job.listed],
        held,
        left_out,
        prune=job.prune,
        rehash=job.rehash,
        excluded=parse_patterns(job.exclude) if job.exclude else None,
        own=roots.patterns(job.exclude) if job.is_for_known_roots else {},
        unlisted=unlisted,
    )
    return _Prepared(plan, roots, by_lists, unlisted, tuple(relocation for _, relocation in relocated))


def _moved(store: Store, gone: Sequence[Path], new: Sequence[Clip]) -> dict[Path, Path]:
    """Where clips are now that are gone from their places: by the new place, the one of those of its bytes."""
    places: dict[int, dict[bytes, list[Path]]] = {}
    for path in gone:
        held = store.catalog.clip(path)
        if held is not None:
            places.setdefault(held[0].size_bytes, {}).setdefault(held[1], []).append(path)
    moved: dict[Path, Path] = {}
    for clip in new:
        if clip.size_bytes in places:
            try:
                left = places[clip.size_bytes].get(content_digest(clip.path))
            except AudioError:
                continue
            if left:
                moved[clip.path] = left.pop(0)
    return moved
