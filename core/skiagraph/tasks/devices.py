"""`skiagraph devices`: the C-arms we know."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from skiagraph.carm import DEVICES
from skiagraph.tasks.task import Report, silent


@dataclass(frozen=True)
class Devices:
    """List the C-arms we know, with where their figures come from."""

    @property
    def record(self) -> None:
        """Nothing is written."""

    def run(self, report: Report = silent) -> list[Path]:
        """Print the table."""
        table = Table(
            "device", "source to panel", "to isocentre", "panel", "pixel", "orbital", "angulation", "figures from"
        )
        for carm in DEVICES.values():
            rows, columns = carm.panel_pixels
            table.add_row(
                carm.name,
                f"{carm.source_to_panel:g} mm",
                f"{carm.source_to_isocenter:g} mm",
                f"{columns} x {rows}",
                f"{carm.pixel_spacing:g} mm",
                "{:g}° to {:g}°".format(*carm.orbital_range),
                "{:g}° to {:g}°".format(*carm.angulation_range),
                carm.reference,
            )
        Console().print(table)
        return []
