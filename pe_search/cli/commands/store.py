"""`pe-search remove`, `merge`, `export`, `verify` and `rebuild`: looking after a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.options import StoreOption, expanded, store_directory
from pe_search.cli.output.messages import counted, say, say_problem

if TYPE_CHECKING:
    from pe_search.pe_audio.embedder import Embedder

# float16 keeps 11 bits of a number, which is 0.05 % at most; bfloat16, which a model may be run in, keeps 8.
_MOST_DRIFT = 0.05


def remove(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Clips, or folders of clips.", show_default=False)
    ],
    store: StoreOption = None,
) -> None:
    """Take clips out of the store. The files themselves are left alone, and need not exist any more.

    A clip that was left out is forgotten, so that the next `pe-search index` tries it again. Exit status: 0 if
    something was taken out or forgotten, 1 if the store knows of nothing there, 2 on an error.

    \b
        pe-search remove ./sounds/rejects
        pe-search remove /mnt/old-disk ./sounds/take-1.wav
    """
    from pe_search.audio.find import is_under
    from pe_search.store import Store

    with Store.open(store_directory(store), read_only=False, on_problem=say_problem) as opened:
        places = {os.path.abspath(expanded(path)) for path in paths}
        removed, forgotten = (
            [Path(path) for path in known if is_under(path, places)]
            for known in (opened.stamps(), [str(one.clip.path) for one in opened.left_out()])
        )
        if removed or forgotten:
            opened.commit(removed=[*removed, *forgotten])
        # Even if nothing is left to remove: a removal that was killed may have got no further than the commit.
        opened.drop_unused_contents()
        opened.refresh_index()
    said = f"{counted(len(removed), 'clip')} removed"
    if forgotten:
        said += f", {counted(len(forgotten), 'problem')} forgotten"
    say(f"{said}.")
    if not (removed or forgotten):
        raise typer.Exit(1)


def merge(
    other: Annotated[
        str,
        typer.Argument(metavar="OTHER_STORE", help="The store to take over; it is only read."),
    ],
    store: StoreOption = None,
) -> None:
    """Take over the clips of another store, with their embeddings.

    Both stores must be made with the same checkpoint, windows and hop. Of a clip that both hold, the one whose file was
    modified later stays. A merge that is cut short goes on with the same command.

    \b
        pe-search merge ./laptop.store
        pe-search merge /mnt/nas/sounds.store --store ./all.store
    """
    from pe_search.store import Store
    from pe_search.store.merge import merge

    with (
        Store.open(store_directory(other)) as opened_other,
        Store.open(store_directory(store), read_only=False) as opened,
    ):
        clips = merge(opened, opened_other)
    say(f"{counted(clips, 'clip')} came in. Store: {opened.directory}")


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write: FILE.parquet or FILE.npz.")],
    store: StoreOption = None,
) -> None:
    """Write path, start, end and embedding of every window for other programs.

    An .npz holds the arrays path, start_s, end_s and embedding, one row for each window, and the store's manifest as
    JSON; `numpy.load` reads it without pickle. A .parquet has the same columns, and the manifest in its metadata; it
    needs pyarrow. The file is written whole or not at all.

    \b
        pe-search export windows.npz
        pe-search export windows.parquet --store ./birds.store
    """
    from pe_search.store import Store
    from pe_search.store.export import EXPORT_SUFFIXES, export

    if file.suffix.lower() not in EXPORT_SUFFIXES:
        raise typer.BadParameter("must end with .parquet or .npz.", param_hint="FILE")
    with Store.open(store_directory(store)) as opened:
        windows = export(opened, expanded(file))
    say(f"{counted(windows, 'window')} written to {file}")


def verify(
    sample: Annotated[
        int, typer.Option("--sample", min=1, metavar="N", help="How many clips to embed again; always the same ones.")
    ] = 20,
    store: StoreOption = None,
) -> None:
    """Embed some clips again on this machine, and show how far they come out from what the store holds.

    A little drift is no harm: the store keeps embeddings as float16, and each machine and each --dtype rounds in its
    own way. Clips whose files are gone, or hold other bytes now, are told apart and not compared. Exit status: 0 if all
    that was compared agrees to within 5 % of an embedding's length, 1 if it doesn't, 2 if nothing could be compared.

    \b
        pe-search verify
        pe-search verify --sample 200 --store ./birds.store
    """
    from pe_search.store import Store
    from pe_search.tasks.verifying import verify

    with Store.open(store_directory(store)) as opened:

        def load_embedder() -> Embedder:
            from pe_search.pe_audio.checkpoint import find_same_checkpoint
            from pe_search.pe_audio.embedder import Embedder

            return Embedder(find_same_checkpoint(opened.manifest.model, opened.manifest.revision))

        found = verify(opened, load_embedder, sample)
    for path in found.gone:
        say(f"pe-search: {path}: is gone")
    for path in found.changed:
        say(f"pe-search: {path}: has changed since it was indexed")
    for problem in found.problems:
        say_problem(problem)
    if not found.clips:
        say("pe-search: Nothing could be compared.")
        raise typer.Exit(2)
    rows = {
        "compared": f"{counted(found.clips, 'clip')}, {counted(found.windows, 'window')}",
        "largest difference": f"{found.largest_difference:.3g} in one number, "
        f"{found.largest_relative:.3%} of an embedding's length",
        "smallest cosine": f"{found.smallest_cosine:.6f}",
        "gone": f"{len(found.gone):,}",
        "changed": f"{len(found.changed):,}",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")
    if found.problems or not found.largest_relative <= _MOST_DRIFT:
        raise typer.Exit(1)


def rebuild(store: StoreOption = None) -> None:
    """Make the store's index again from its catalog, and the catalog from what can be read of it if it is damaged.

    It also gives the room back that removed clips took in the catalog. The index is never in need of this in ordinary
    use, because one that is missing or out of date is made again by itself. It helps where a disk has damaged the index
    without making it unreadable. Of a damaged catalog, the clips that can still be read with all their windows are
    saved, and it is kept beside the new one.
    """
    from pe_search.store import Store
    from pe_search.store.salvage import restore_manifest, salvage_if_damaged

    directory = store_directory(store)
    if restore_manifest(directory):
        say(f"The manifest of {directory} was damaged; it is written again as the catalog has it.")
    salvage = salvage_if_damaged(directory)
    with Store.open(directory, read_only=False, on_problem=say_problem) as opened:
        opened.rebuild_index()
        opened.compact()
        windows = opened.holdings().windows
    if salvage is not None:
        say(
            f"{counted(salvage.clips, 'clip')} saved from the damaged catalog, which is now {salvage.damaged}; index "
            "your folders again to embed what is missing."
        )
    say(f"Index of {counted(windows, 'window')} made.")
