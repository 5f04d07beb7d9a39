"""`--zone`."""

from __future__ import annotations

from typing import Annotated

import typer

from pe_search.known.zones import NO_ZONE, zone_called


def _a_zone(value: str | None) -> str | None:
    if value is None or value.strip().lower() == NO_ZONE:
        return value and NO_ZONE
    try:
        return zone_called(value)
    except ValueError as error:
        raise typer.BadParameter(str(error) if str(error).endswith("?") else f"{error}.") from error


ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--zone",
        metavar="ZONE",
        callback=_a_zone,
        rich_help_panel="Files",
        help="Where the clips of PATH were recorded, as Europe/Berlin; none forgets it. It is kept for later runs.",
    ),
]


def refuse_zone_with(zone: str | None, others: dict[str, bool]) -> None:
    """Refuse a zone beside an option that leaves it nothing to belong to."""
    for option, is_given in others.items():
        if zone is not None and is_given:
            raise typer.BadParameter(f"can't be used with {option}.", param_hint="--zone")
