"""Files that are installed with the package and are not Python."""

import sysconfig
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def shipped(folder: str, *names: str, source: str = "") -> Path | None:
    """The first of these files that is there, or None.

    It is in a folder of the package: among its modules in a wheel, apart from them among the installed packages in an
    editable install. What needs no building is also in a `source` folder of the repository, which is then newer.
    """
    checkout = [PACKAGE.parents[1] / source] if source else []
    homes = (PACKAGE / folder, *checkout, Path(sysconfig.get_path("platlib")) / PACKAGE.name / folder)
    return next((home / name for home in homes for name in names if (home / name).exists()), None)
