"""Which slide each patch is from, out of a table beside the patches."""

import csv
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from engine.data.sources.base import Listing, digest_of
from engine.spec.errors import DataError


def read_table(path: Path, columns: tuple[str, ...], setting: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line number and the wanted columns of a CSV file with a header; DataError names the file and what is missing."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file)
            places = _places(next(table, []), columns, f"{setting} {path}")
            for row in filter(None, table):
                yield table.line_num, tuple(row[place].strip() if place < len(row) else "" for place in places)
    except FileNotFoundError:
        raise DataError(f"{setting} {path}: no such file") from None
    except OSError as error:
        raise DataError(f"{setting} {path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{setting} {path}: not a CSV file ({error})") from None


def _places(header: list[str], columns: tuple[str, ...], where: str) -> list[int]:
    names = [name.strip() for name in header]
    missing = [name for name in columns if name not in names]
    if missing:
        found = ", ".join(names) or "nothing"
        raise DataError(f"{where}: no column {', '.join(missing)} in its first line; found {found}")
    return [names.index(name) for name in columns]


def with_slides(listing: Listing, table: str | None) -> Listing:
    """The listing with the slides that a CSV with columns `id,wsi` names, if there is one."""
    if table is None:
        return listing
    path = Path(table).expanduser()
    slide_of = {patch: slide for _, (patch, slide) in read_table(path, ("id", "wsi"), "data.slides")}
    slides = tuple(slide_of.get(patch) or slide_of.get(PurePosixPath(patch).stem, "") for patch in listing.ids)
    if not any(slides):
        raise DataError(
            f"data.slides {path}: none of its {len(slide_of)} ids is among the patches' ids, such as {listing.ids[0]}"
        )
    return dataclasses.replace(
        listing,
        slides=slides,
        digest=digest_of(
            listing.digest, hashlib.sha256("\0".join(slides).encode("utf-8", "surrogateescape")).hexdigest()
        ),
    )
