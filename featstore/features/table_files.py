"""Features as tables in files: Parquet, CSV and NumPy's .npz. Each is written block by block.

All have the columns of texts under their names and the features as `vector`: a list of float32 in Parquet, a column for
each number in CSV, an array in .npz.
"""

from __future__ import annotations

import csv
import io
import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError, param
from featstore.system.text import spreadsheet_text

TableKind = Literal["parquet", "csv", "npz"]
VECTOR = "vector"


class FeatureTable(NamedTuple):
    """The content of a table.

    Attributes:
        columns: Texts (n,) by the name of their column; None where a text is missing.
        shape: Shape of the features of a row. A map is flattened in Parquet and CSV, the channels last.
        blocks: Features (k, *shape) float32 of some rows at a time, all n in order.
        facts: Texts about the features by their names, such as the key.
    """

    columns: Mapping[str, Sequence[str | None]]
    shape: tuple[int, ...]
    blocks: Iterable[NDArray[np.float32]]
    facts: Mapping[str, str]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def width(self) -> int:
        """The number of values in a row."""
        return math.prod(self.shape)


def table_kind(path: str | os.PathLike[str], option: str) -> TableKind:
    """Return the kind of table that the ending of `path`, the value of `option`, asks for; raises UsageError.

    Call it before the work. It also finds out whether pyarrow is missing.
    """
    ending = os.path.splitext(path)[1].lower().removeprefix(".")
    for kind in get_args(TableKind):
        if ending == kind:
            break
    else:
        raise UsageError(f"{param(option, str(path))}: expected a name that ends in .parquet, .csv or .npz")
    if kind == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"{param(option, str(path))}: needs pyarrow: `pip install featstore-keras[parquet]`, or write .csv"
            ) from error
    return kind  # type: ignore[no-any-return]


def write_table(file: BinaryIO, table: FeatureTable, kind: TableKind) -> None:
    """Write `table` to an open file."""
    _WRITERS[kind](file, table)


def _write_parquet(file: BinaryIO, table: FeatureTable) -> None:
    """Write a row group for each block. The lists have a fixed size: polars makes arrays of them, the others lists."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = [pa.field(name, pa.string()) for name in table.columns]
    vectors = pa.field(VECTOR, pa.list_(pa.float32(), table.width))
    facts = {f"featstore.{name}": fact for name, fact in table.facts.items()}
    schema = pa.schema([*texts, vectors], metadata=facts)
    with parquet.ParquetWriter(file, schema, use_dictionary=list(table.columns)) as writer:
        done = 0
        for block in table.blocks:
            rows = slice(done, done := done + len(block))
            columns = [pa.array(map(_unicode, cells[rows]), pa.string()) for cells in table.columns.values()]
            numbers = pa.array(np.ascontiguousarray(block).reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(numbers, table.width)
            writer.write_table(pa.Table.from_arrays([*columns, vectors], schema=schema))


def _unicode(text: str | None) -> str | None:
    r"""Return `text` with `\xff` for a byte of a file name that is not UTF-8, which Parquet cannot hold."""
    return text and text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _write_csv(file: BinaryIO, table: FeatureTable) -> None:
    """Write a column for each number, with the nine digits that tell any two of float32 apart."""
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*table.columns, *(f"f{number}" for number in range(table.width))])
    cells = zip(*table.columns.values(), strict=True)
    form = "," + ",".join(["%.9g"] * table.width) + "\n"
    for block in table.blocks:
        for numbers in block.reshape(len(block), -1):
            text.write(_csv_cells(next(cells)) + form % tuple(numbers.tolist()))
    text.detach()


def _csv_cells(cells: Sequence[str | None]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["" if cell is None else spreadsheet_text(cell) for cell in cells])
    return line.getvalue()


def _write_npz(file: BinaryIO, table: FeatureTable) -> None:
    """Write what `numpy.load` opens without pickled objects: texts are arrays of str, '' where one is missing."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, cells in table.columns.items():
            _add_array(archive, name, np.array(["" if cell is None else cell for cell in cells], str))
        for name, fact in table.facts.items():
            _add_array(archive, name, np.array(fact))
        with archive.open(f"{VECTOR}.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(table), *table.shape)}
            np.lib.format.write_array_header_1_0(member, header)
            for block in table.blocks:
                member.write(block.astype("<f4", copy=False).tobytes())


def _add_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


_WRITERS: dict[TableKind, Callable[[BinaryIO, FeatureTable], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "npz": _write_npz,
}
