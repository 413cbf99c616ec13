"""What can go wrong in a way its user can put right."""


class SkiagraphError(Exception):
    """Something the user can put right; the message says what was found and what to do."""


class GeometryError(SkiagraphError, ValueError):
    """Volumes, views or landmarks that do not fit together."""


class DataError(SkiagraphError, ValueError):
    """A file or a volume that is missing, broken or not what it claims to be."""


class ModelError(SkiagraphError, ValueError):
    """Weights or a bundle that cannot be used."""


class BackendError(SkiagraphError, RuntimeError):
    """An engine or a package this machine does not have."""


class FoundWrong(SkiagraphError):
    """A check that has said what is wrong with what it was given."""
