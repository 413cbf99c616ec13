"""`skiagraph devices`: the C-arms we know."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.console import Console
from rich.table import Column, Table

from skiagraph.carm import DEVICES
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class Devices:
    """List the C-arms we know, with where their figures come from."""

    command: ClassVar[str] = "devices"

    @property
    def record(self) -> None:
        """Nothing is written."""

    def run(self, report: Report = silent) -> list[Path]:
        """Print the table."""
        table = Table(Column("device", no_wrap=True), "panel", "pixel mm", "SDD mm", "SID mm", "orbital", "angulation")
        console = Console()
        for carm in DEVICES.values():
            rows, columns = carm.panel_pixels
            table.add_row(
                carm.name,
                f"{columns}x{rows}",
                f"{carm.pixel_spacing:g}",
                f"{carm.source_to_panel:g}",
                f"{carm.source_to_isocenter:g}",
                "{:g}..{:g}°".format(*carm.orbital_range),
                "{:g}..{:g}°".format(*carm.angulation_range),
            )
        console.print(table)
        console.print("SDD: source to panel; SID: source to isocentre. Ranges are of a device on the patient's right.")
        for carm in DEVICES.values():
            console.print(f"{carm.name}: {carm.reference}.", highlight=False)
        return []
