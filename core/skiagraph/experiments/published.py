"""What SyntheX's preprint published (Gao 2022, arXiv 2206.06127, tables 1 to 5), to stand beside what is measured here.

Five or six folds on DeepFluoro's 366 real X-rays, 264 of the tool and 2951 of the chest; other networks, other bodies.
"""

from dataclasses import dataclass

from skiagraph.errors import DataError

PIXELS = (180, 360, 480)
"""Rows and columns of the tables' pictures."""


@dataclass(frozen=True)
class Published:
    """A mean and its deviation over landmarks, or over pictures."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Row:
    """A line of table 4 or 5: a training domain, with regular and strong randomisation at each size."""

    name: str
    values: tuple[Published, ...]

    def at(self, pixels: int, looks: str) -> Published:
        """One cell. Raises DataError for sizes that were not published."""
        if pixels not in PIXELS:
            raise DataError(f"SyntheX published {', '.join(map(str, PIXELS))} pixels, not {pixels}")
        return self.values[2 * PIXELS.index(pixels) + (looks == "strong")]


def _row(name: str, *values: tuple[float, float]) -> Row:
    return Row(name, tuple(Published(*one) for one in values))


DICE: tuple[Row, ...] = (
    _row("real", (0.775, 0.235), (0.784, 0.214), (0.783, 0.232), (0.759, 0.248), (0.739, 0.266), (0.751, 0.265)),
    _row("realistic", (0.730, 0.240), (0.787, 0.211), (0.751, 0.241), (0.760, 0.250), (0.720, 0.256), (0.700, 0.279)),
    _row("heuristic", (0.669, 0.273), (0.737, 0.249), (0.683, 0.265), (0.682, 0.286), (0.655, 0.277), (0.668, 0.298)),
    _row("naive", (0.689, 0.256), (0.680, 0.278), (0.687, 0.266), (0.572, 0.309), (0.653, 0.278), (0.578, 0.305)),
    _row("realistic-cyclegan", (0.778, 0.217), (0.778, 0.220), (0.760, 0.248), (0.733, 0.267), (0.741, 0.255),
         (0.688, 0.291)),
    _row("naive-cyclegan", (0.784, 0.198), (0.750, 0.230), (0.739, 0.254), (0.736, 0.258), (0.726, 0.254),
         (0.673, 0.292)),
    _row("realistic-adda", (0.767, 0.224), (0.754, 0.231), (0.726, 0.292), (0.731, 0.256), (0.704, 0.279),
         (0.727, 0.256)),
    _row("naive-adda", (0.491, 0.405), (0.678, 0.266), (0.693, 0.297), (0.662, 0.265), (0.693, 0.273), (0.592, 0.306)),
    _row("realistic-scaled", (0.857, 0.184), (0.853, 0.179), (0.838, 0.221), (0.818, 0.221), (0.783, 0.262),
         (0.823, 0.221)),
    _row("realistic-cyclegan-scaled", (0.822, 0.213), (0.794, 0.232), (0.824, 0.225), (0.789, 0.240), (0.789, 0.241),
         (0.812, 0.227)),
)  # fmt: skip
"""Table 4: Dice of the hip task's six structures."""

LANDMARKS: tuple[Row, ...] = (
    _row("real", (9.98, 22.58), (7.78, 11.94), (8.93, 19.76), (8.15, 15.30), (8.98, 21.38), (7.59, 16.12)),
    _row("realistic", (14.33, 32.61), (8.41, 14.47), (12.62, 27.68), (9.05, 19.37), (14.96, 34.45), (13.06, 26.52)),
    _row("heuristic", (20.84, 44.16), (10.69, 22.92), (14.54, 32.88), (12.25, 26.82), (17.59, 39.55), (12.85, 29.49)),
    _row("naive", (13.12, 30.87), (13.03, 21.20), (16.22, 39.71), (20.55, 35.92), (18.53, 40.88), (19.46, 37.48)),
    _row("realistic-cyclegan", (8.65, 19.84), (8.19, 13.55), (8.57, 18.69), (8.90, 17.47), (10.78, 26.9), (8.75, 17.4)),
    _row("naive-cyclegan", (8.56, 18.46), (9.05, 10.75), (7.63, 16.10), (9.29, 18.73), (9.14, 21.82), (11.73, 25.06)),
    _row("realistic-adda", (11.19, 24.80), (11.43, 25.83), (11.01, 24.69), (12.92, 23.76), (16.42, 37.61),
         (9.24, 17.53)),
    _row("naive-adda", (7.90, 17.56), (11.84, 25.63), (10.42, 25.05), (14.17, 30.89), (16.62, 40.12), (22.88, 41.53)),
    _row("realistic-scaled", (5.91, 8.43), (6.06, 7.10), (6.80, 9.53), (6.29, 6.29), (8.12, 19.35), (5.99, 12.19)),
    _row("realistic-cyclegan-scaled", (6.79, 9.70), (6.87, 9.58), (6.87, 13.19), (6.59, 7.25), (6.43, 13.67),
         (5.52, 4.85)),
)  # fmt: skip
"""Table 5: millimetres at 90 % activation."""


@dataclass(frozen=True)
class Transfer:
    """A line of tables 1 to 3: what was measured of synthetic training, and of training on real pictures."""

    measure: str
    sim2real: Published
    real2real: Published


HIP: tuple[Transfer, ...] = (
    Transfer("error at 90 %, mm", Published(6.29, 6.29), Published(8.15, 15.30)),
    Transfer("Dice", Published(0.818, 0.221), Published(0.759, 0.248)),
)
"""Table 1."""

TOOL: tuple[Transfer, ...] = (
    Transfer("error, mm", Published(2.13, 2.27), Published(1.90, 5.49)),
    Transfer("Dice", Published(0.860, 0.115), Published(0.406, 0.194)),
)
"""Table 2."""

COVID: tuple[Transfer, ...] = (
    Transfer("sensitivity", Published(0.7649, 0.1725), Published(0.8137, 0.1775)),
    Transfer("specificity", Published(0.8811, 0.0603), Published(0.9644, 0.0407)),
    Transfer("precision", Published(0.4846, 0.2749), Published(0.7367, 0.2584)),
    Transfer("F1", Published(0.5326, 0.2267), Published(0.7348, 0.2097)),
    Transfer("F2", Published(0.6143, 0.2553), Published(0.7690, 0.2595)),
    Transfer("accuracy", Published(0.8503, 0.0565), Published(0.9395, 0.0477)),
)
"""Table 3, as shares of one."""
