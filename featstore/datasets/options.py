"""How a data set is read: the options that every command and every verb with DATA shares.

They are defined here only. The command line makes its options of the fields, and a test compares the typed dictionary
with them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from featstore.errors import UsageError, param


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    r"""How a data set is read.

    Attributes:
        label_from: Where labels are read from the names of files: `{label}` stands for the label, `#` for a whole
            number and `*` for any text, as in {label}.# for cat.0.jpg, or {label}_*.
        group_by: Which images stay in one split, such as frames of one video: a regular expression whose first group
            names what they belong to, searched in the name of each file, as in sm(\d+)- for sm12-a.jpg. With a / in
            it, it is searched in the path below DATA.
        follow_links: Follow links that lead out of the data set.
        image_folder: With a table: the folder or the URL that its paths are relative to. Default: that of the table.
        path_column: With a table: the column of paths. Default: by the usual names, such as path, filename or id.
        label_column: With a table: the column of labels. Default: by the usual names, such as label, class or breed.
    """

    label_from: str | None = None
    group_by: str | None = None
    follow_links: bool = False
    image_folder: str | None = None
    path_column: str | None = None
    label_column: str | None = None

    def given(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of the options that differ from their defaults."""
        for field in fields(self):
            if (value := getattr(self, field.name)) != field.default:
                yield field.name, value

    def refuse_but(self, useful: Collection[str], source: str, kind: str) -> None:
        """Raise UsageError for an option that is given and is not `useful` for `source`, which is `kind`."""
        for name, value in self.given():
            if name not in useful:
                raise UsageError(f"{param(name, value)}: has no effect on {source}, which is {kind}: leave it out")


class ImageKeywords(TypedDict, total=False):
    """The fields of `DataOptions` that count where labels do not, as keyword arguments."""

    follow_links: bool
    image_folder: str | None
    path_column: str | None


class DataKeywords(ImageKeywords, total=False):
    """The fields of `DataOptions` as keyword arguments."""

    label_from: str | None
    group_by: str | None
    label_column: str | None


def split_keywords(keywords: Mapping[str, Any]) -> tuple[DataOptions, dict[str, Any]]:
    """Return what the keywords of a verb say about reading data, and its other keywords."""
    names = DataKeywords.__annotations__
    reading = DataOptions(**{name: value for name, value in keywords.items() if name in names})
    return reading, {name: value for name, value in keywords.items() if name not in names}
