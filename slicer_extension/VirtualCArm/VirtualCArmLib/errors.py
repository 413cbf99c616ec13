"""What can go wrong in a way the user can put right, as messages for the panel."""

import importlib.util


class CArmError(Exception):
    """Something the user can put right; the message says what was found and what to do."""


class CoreMissing(CArmError):
    """The package that does the work, or torch, is not installed in this Python."""


NEEDED = ("torch", "skiagraph")
"""What the X-rays, and all that is computed about them, are made with."""


def need_core() -> None:
    """Raise CoreMissing unless skiagraph and torch can be imported."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise CoreMissing(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed in this Python; "
            "install what the Virtual C-arm needs with the button in its panel"
        )


def user_errors() -> tuple:
    """The kinds of errors whose message is for the user: `except user_errors() as error`."""
    from .annotate import refused

    kinds = (CArmError, refused())
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        return kinds
    from skiagraph.errors import SkiagraphError

    return (*kinds, SkiagraphError)
