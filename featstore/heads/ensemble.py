"""Head `ensemble`: several heads on the same features, whose probabilities are averaged."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.errors import RunError, UsageError
from featstore.heads.ensemble_parameters import EnsembleParameters, named_members
from featstore.heads.interface import Curve, Head, Labelled
from featstore.heads.registry import check_network, make_head
from featstore.system.archive import open_archive
from featstore.system.files import write_whole
from featstore.system.progress import OnStep

FILE = "head.zip"


@dataclass
class EnsembleHead(EnsembleParameters):
    """Each member is trained as it would be alone. Its probabilities count as much as those of the others."""

    NAME: ClassVar[str] = "ensemble"

    _heads: list[Head] = field(default_factory=list, init=False, repr=False)
    _is_trained: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._heads = _make_members(self.settings())

    def name_classes(self, names: tuple[str, ...]) -> None:
        for head in self._heads:
            head.name_classes(names)

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        validation: Labelled | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        for head in self._heads:
            head.fit(X, y, validation, seed, on_step, groups)
        self._is_trained = True

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(np.mean([head.predict_proba(X) for head in self._heads], axis=0))

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self._heads[0].row_shape

    @property
    def curve(self) -> Curve:
        """One without points: those of its members have different axes."""
        return Curve("head", [], {})

    def selected(self) -> dict[str, Any]:
        return {"heads": len(self._heads)}

    @property
    def is_trained(self) -> bool:
        """Whether all members are trained to their end: with a part of a member it would be another ensemble."""
        return self._is_trained

    def network(self, shape: tuple[int, ...]) -> Any:
        check_network(self.NAME)
        raise NotImplementedError

    def save(self, folder: Path) -> str:
        """Write the files of all members into one archive, each under its number."""
        content = BytesIO()
        with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
            for number, head in enumerate(self._heads):
                name = head.save(Path(place))
                # with a fixed date, so that the same heads make the same file
                archive.writestr(zipfile.ZipInfo(f"{number}-{name}"), (Path(place) / name).read_bytes())
        write_whole(folder / FILE, content.getvalue())
        return FILE

    def load(self, file: Path) -> None:
        try:
            with open_archive(file) as archive, tempfile.TemporaryDirectory() as place:
                names = archive.namelist()
                if [name.partition("-")[0] for name in names] != [str(number) for number in range(len(self._heads))]:
                    raise RunError(f"{file}: does not have the {len(self._heads)} heads of this run; train it again")
                for name, head in zip(names, self._heads, strict=True):
                    path = Path(place) / f"head{Path(name).suffix}"
                    path.write_bytes(archive.read(name))
                    head.load(path)
            self._is_trained = True
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise RunError(f"{file}: not a head that can be trusted: {' '.join(str(error).split())}") from error


def _make_members(parameters: Mapping[str, Any]) -> list[Head]:
    """Return the untrained members; raises UsageError."""
    members = named_members(parameters)
    if any(name == EnsembleHead.NAME for name, _ in members):
        raise UsageError("an ensemble cannot be a member of an ensemble")
    return [make_head(name, own) for name, own in members]
