"""Warm starts: a search that begins from the champion of an earlier run, of which the run keeps its own copy."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationInfo, field_validator
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotype, Packed, champion_of, pack_genotype, read_champion, read_packed
from hyperevo.parts import Encoding

FOLDER = "start"
"""Folder in which a run keeps what its search began from."""


class RunStart(str):
    """Run folder that a config names, and what is read there."""

    read: Callable[[], Packed]

    @cached_property
    def packed(self) -> Packed:
        """Plain data and tensors, with the champion's genotype; raises UserError where they cannot be read."""
        return self.read()

    @property
    def champion(self) -> Genotype:
        """Champion's genotype."""
        return champion_of(*self.packed, Path(self))


def packed_champion(run: Path) -> Packed:
    """Plain data and tensors of a finished run's champion; raises UserError where there is none."""
    plain, tensors = pack_genotype(read_champion(run))
    return {"genotype": plain}, tensors


class StartSettings(ComponentSettings):
    """Options of a search that may begin from an earlier run."""

    words: ClassVar[tuple[str, ...]] = ("",)
    """Starts that are no run."""
    reads: ClassVar[Callable[[Path], Packed]] = packed_champion
    """Function that reads all that is wanted of an earlier run."""

    start: str = ""
    """Run folder whose champion the search starts from. The run keeps a copy of it: the folder is needed once."""

    @field_validator("start")
    @classmethod
    def _with_its_run(cls, start: str, info: ValidationInfo) -> str:
        if start in cls.words or isinstance(start, RunStart):
            return start
        named = RunStart(start)
        own = info.context["code"].folder if info.context else None
        if own is not None:
            named.read = lambda: read_packed(own / FOLDER)
            return named
        try:
            packed = cls.reads(Path(start))
        except UserError as error:
            others = "".join(f"; {word} is a start too" for word in cls.words if word)
            raise ValueError(f"{error}{others}") from error
        named.read = lambda: packed
        return named

    def kept(self) -> Mapping[str, Packed]:
        """Champion that the search starts from, for the run's folder."""
        return {FOLDER: self.start.packed} if isinstance(self.start, RunStart) else {}


def start_genes(settings: StartSettings, encoding: Encoding) -> Tensor | None:
    """Genes (genes,) of the champion that a search starts from, on the CPU; None where it starts from none. Raises
    UserError where they are not as many as the encoding's."""
    if not isinstance(settings.start, RunStart):
        return None
    genes, needs = settings.start.champion, f"encoding {encoding.settings.name} needs {encoding.genes:,} genes"
    if not isinstance(genes, Tensor):
        raise UserError(f"search.start: the champion of {settings.start} is a graph of {genes.genes:,} numbers, and "
                        f"{needs}")
    if len(genes) != encoding.genes:
        raise UserError(f"search.start: the champion of {settings.start} has {len(genes):,} genes, and {needs}")
    return genes.float()
