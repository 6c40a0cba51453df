"""What a data set is made of, as a file beside it: who has it can make the same anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ifan.errors import IfanError, OutputError
from ifan.files import write_atomically

if TYPE_CHECKING:
    from ifan.datasets.simulated import Simulation
    from ifan.datasets.writing.sources import Finding


@dataclass(frozen=True)
class SceneRequest:
    """What scenes are asked for.

    Attributes:
        version: of the program, as another one may make other scenes.
        scenes: how many.
        size: side of the pictures in pixels.
        seed: another one makes other scenes of the same kind.
        bits: bits a sample of the pictures, 8 or 16.
        max_radius: the largest |coc| in pixels.
        sharp_share: how many of the scenes have no defocus, 0 to 1.
    """

    version: str
    scenes: int
    size: int = 256
    seed: int = 0
    bits: int = 8
    max_radius: float = 15.0
    sharp_share: float = 0.1

    def simulation(self) -> Simulation:
        """Return what each scene is drawn from.

        Raises:
            IfanError: what simulates is not installed.
        """
        try:
            from ifan.datasets.simulated import Simulation
        except ModuleNotFoundError as error:
            remedy = "install it with: pip install 'ifan[train]'"
            raise IfanError(str(error.name), "is not installed", remedy) from error
        return Simulation(
            height=self.size,
            width=self.size,
            bits=self.bits,
            coc_px=(min(1.0, self.max_radius), self.max_radius),
            sharp_share=self.sharp_share,
        )


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    depth_sha256: str | None


class Record(BaseModel):
    """All that the files of a data set depend on.

    Attributes:
        ifan: version of the program, as another one may make other scenes.
        scenes: how many.
        seed: of the scenes.
        simulation: what each is drawn from, see `ifan.datasets.simulated.Simulation`.
        photographs: those that scenes are made of, in order.
        left_out: the names of those that are not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ifan: str
    scenes: int
    seed: int
    simulation: dict[str, Any]
    photographs: tuple[_Entry, ...] = ()
    left_out: tuple[str, ...] = ()

    @staticmethod
    def of(request: SceneRequest) -> Record:
        """Return the record of what is asked for, still without photographs."""
        simulation = request.simulation().model_dump(mode="json")
        return Record(
            ifan=request.version, scenes=request.scenes, seed=request.seed, simulation=simulation
        )

    def completed(self, findings: list[Finding]) -> Record:
        """Return the record with what became of the photographs."""
        used = tuple(
            _Entry(name=found.source.name, sha256=found.sha256, depth_sha256=found.depth_sha256)
            for found in findings
            if found.sha256 is not None
        )
        left_out = tuple(found.source.name for found in findings if found.sha256 is None)
        return self.model_copy(update={"photographs": used, "left_out": left_out})

    def difference(self, other: Record) -> str | None:
        """Say in which setting, photographs apart, another record differs first, if in any.

        How many scenes there are makes no difference: each depends on its own number alone.
        """
        here, there = self._settings(), other._settings()
        for name, value in here.items():
            if there.get(name) != value:
                return f"{name} {value}, not {there.get(name)}"
        return None

    def _settings(self) -> dict[str, Any]:
        fields = self.model_dump(exclude={"scenes", "simulation", "photographs", "left_out"})
        return fields | self.simulation


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        OutputError: it is not one.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = "is not the settings file of simulated scenes"
        raise OutputError(path, reason, "give another folder for the scenes") from error


def write_record(record: Record, path: Path) -> None:
    """Write a record, in the place of an earlier one if there is one.

    Raises:
        OutputError: it cannot be written.
    """
    data = (record.model_dump_json(indent=2) + "\n").encode()
    write_atomically(path, data, overwrite=True)
