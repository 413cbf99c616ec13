"""The matrix of SyntheX's controlled experiment as values: what a detector is trained on, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Literal

from skiagraph.errors import DataError

Task = Literal["hip", "tool", "covid"]
Domain = Literal["real", "realistic", "heuristic", "naive"]
Looks = Literal["regular", "strong"]
Adapted = Literal["none", "cyclegan", "adda"]
Scale = Literal["matched", "scaled"]

TASKS: tuple[Task, ...] = ("hip", "tool", "covid")
DOMAINS: tuple[Domain, ...] = ("real", "realistic", "heuristic", "naive")
LOOKS: tuple[Looks, ...] = ("regular", "strong")
ADAPTED: tuple[Adapted, ...] = ("none", "cyclegan", "adda")
SCALES: tuple[Scale, ...] = ("matched", "scaled")

SIZES = {192: 180, 384: 360, 512: 480}
"""Rows of the network's pictures, and of SyntheX's own: theirs are padded to these, ours fill them."""


@dataclass(frozen=True)
class Cell:
    """One training of the matrix."""

    task: Task
    size: int
    """Rows and columns of the network's pictures."""
    domain: Domain
    """What its pictures are: real ones, or one of three fidelities."""
    looks: Looks
    """How strongly looks are randomised."""
    adapted: Adapted
    """How it is made used to real pictures without labels."""
    scale: Scale
    """The views of the real pictures taken again, or many more of other bodies."""

    @property
    def name(self) -> str:
        """Such as `hip-192-realistic-strong-none-matched`."""
        return f"{self.task}-{self.size}-{self.domain}-{self.looks}-{self.adapted}-{self.scale}"

    @property
    def row(self) -> str:
        """The line of SyntheX's tables 4 and 5 it belongs in, such as `realistic-cyclegan-scaled`."""
        words = (self.domain, "" if self.adapted == "none" else self.adapted, "scaled" * (self.scale == "scaled"))
        return "-".join(word for word in words if word)


def _sensible(cell: Cell) -> bool:
    """Real pictures need no adaptation to real pictures, and there are no more of them."""
    return cell.domain != "real" or (cell.adapted == "none" and cell.scale == "matched")


MATRIX: tuple[Cell, ...] = tuple(
    cell for row in product(TASKS, SIZES, DOMAINS, LOOKS, ADAPTED, SCALES) if _sensible(cell := Cell(*row))
)
"""All of it."""

USUAL = (
    *(f"hip-192-{domain}-{looks}-none-matched" for domain in ("naive", "heuristic", "realistic") for looks in LOOKS),
    "hip-192-realistic-strong-cyclegan-matched",
    "hip-192-realistic-strong-adda-matched",
)
"""What is run unless told otherwise: an hour or two on two cores."""


def chosen(patterns: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose names fit any of the patterns, in the order of these. Raises DataError for one that fits none."""
    found: dict[Cell, None] = {}
    for pattern in patterns:
        fitting = [cell for cell in MATRIX if fnmatchcase(cell.name, pattern)]
        if not fitting:
            raise DataError(f"no cell {pattern!r}; give a name or a pattern such as {USUAL[0]} or hip-192-*-matched")
        found |= dict.fromkeys(fitting)
    return tuple(found)
