"""What an engine makes of a field once, and keeps as long as the field lives and stays as it is."""

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """What was made of each field: made again when torch has changed the field, dropped with it.

    A field changed behind torch's back, as through the memory of a numpy array, is not noticed.
    """

    def __init__(self, make: Callable[[Tensor], Made]) -> None:
        self._make = make
        self._by_id: dict[int, tuple[weakref.ref[Tensor], tuple[int, ...], Made]] = {}

    def of(self, field: Tensor) -> Made:
        """What is kept of a field; made now if it is new, or has changed."""
        if field.is_inference():
            return self._make(field)  # changes in place leave no trace on such a tensor
        key = id(field)
        owner, then, made = self._by_id.get(key, (None, None, None))
        state = _state(field)  # as it is before anything is made: another thread may change the field meanwhile
        if made is not None and owner is not None and owner() is field and then == state:
            return made
        made = self._make(field)
        self._by_id[key] = (weakref.ref(field, lambda gone: self._forget(key, gone)), state, made)
        return made

    def __contains__(self, key: int) -> bool:
        return key in self._by_id

    def _forget(self, key: int, gone: "weakref.ref[Tensor]") -> None:
        """Drop what was kept for a field that is no more, unless its id already has a new owner."""
        if key in self._by_id and self._by_id[key][0] is gone:
            del self._by_id[key]


def _state(field: Tensor) -> tuple[int, ...]:
    """What changes whenever the field's values may have."""
    return (field._version, field.data_ptr(), *field.shape, *field.stride())
