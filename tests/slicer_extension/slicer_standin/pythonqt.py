"""`qt` as PythonQt gives it to Slicer's Python, on PySide6, and no more than that.

PythonQt and PySide6 differ in ways that let a module pass here and fail in Slicer, so what PythonQt has not is
refused: properties are attributes (`label.text`, never `label.text()`), signals are connected by their C++ signature,
which has to exist, enumerations keep their types, and numbers are Python's own, not numpy's.
"""

import enum
import inspect
import sys
import traceback
from types import ModuleType

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
NEW_IN_QT6 = {"checkStateChanged"}

raised: list[str] = []
"""Tracebacks of errors in slots: Slicer shows them on its console, a test has to look here."""
_classes: dict[type, type] = {}
_connections: dict[tuple, object] = {}
CUSTOM: dict[str, type] = {}
"""PySide classes behind Slicer's and CTK's own widgets, by name; `QUiLoader` makes them too."""


class WrappedType(type):
    """Class attributes: enumerators and static functions of the PySide class behind."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(cls._behind, name)
        if isinstance(found, (enum.Enum, enum.EnumMeta)):
            return found
        return _called(found, f"{cls.__name__}.{name}") if callable(found) else found


class Wrapped(metaclass=WrappedType):
    """A QObject as PythonQt shows it."""

    _behind = QtCore.QObject

    def __init__(self, *arguments):
        object.__setattr__(self, "_it", self._behind(*(unwrap(one) for one in arguments)))

    def __getattr__(self, name):
        if not shiboken6.isValid(self._it):
            raise ValueError(f"{type(self).__name__} was deleted by Qt")
        if name == "name":
            return self._it.objectName()
        place = self._it.metaObject().indexOfProperty(name)
        if place >= 0:
            return wrap(self._it.metaObject().property(place).read(self._it))
        found = getattr(self._it, name)
        if isinstance(found, QtCore.SignalInstance):
            return Emitter(found)
        if not callable(found):
            raise AttributeError(f"PythonQt shows no {name} on {self.className()}")
        return _called(found, f"{self.className()}.{name}")

    def __setattr__(self, name, value):
        if name == "name":
            name = "objectName"
        place = self._it.metaObject().indexOfProperty(name)
        if place < 0:
            raise AttributeError(f"{self.className()} has no property {name}; PythonQt takes no new attributes")
        prop = self._it.metaObject().property(place)
        wanted = {"bool": (bool,), "int": (int,), "double": (float, int), "QString": (str,)}.get(prop.typeName())
        refuse_numpy(value)
        if wanted is not None and not (isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))):
            raise TypeError(f"{self.className()}.{name} is a {prop.typeName()}, not {value!r}")
        if prop.isEnumType() and not isinstance(value, enum.Enum):
            raise TypeError(f"{self.className()}.{name} is an enumeration, not {value!r}")
        if not prop.isWritable() or not prop.write(self._it, unwrap(value)):
            raise AttributeError(f"{self.className()}.{name} cannot be set")

    def __eq__(self, other):
        return isinstance(other, Wrapped) and _pointer(self._it) == _pointer(other._it)

    def __hash__(self):
        return hash(_pointer(self._it))

    def __bool__(self):
        return shiboken6.isValid(self._it)

    def className(self):
        return type(self._it).__name__

    def children(self):
        return wrap(list(self._it.children()))

    def connect(self, signature, slot):
        """`connect("clicked(bool)", slot)`; the slot gets as many arguments as it takes."""
        signal = _signature(self._it, signature)
        count = 0 if signal.endswith("()") else signal.count(",") + 1
        relay = _relay(slot, count)
        _connections[_pointer(self._it), signal, slot] = relay
        if not QtCore.QObject.connect(self._it, QtCore.SIGNAL(signal), relay):
            raise RuntimeError(f"could not connect {self.className()}.{signal}")
        return True

    def disconnect(self, signature, slot):
        signal = _signature(self._it, signature)
        relay = _connections.pop((_pointer(self._it), signal, slot), None)
        return relay is not None and bool(QtCore.QObject.disconnect(self._it, QtCore.SIGNAL(signal), relay))


class Emitter:
    """A signal that is asked for by its name: PythonQt emits it when it is called."""

    def __init__(self, signal):
        self._signal = signal

    def __call__(self, *arguments):
        self._signal.emit(*(unwrap(one) for one in arguments))


def wrap(value):
    """What PySide gives, as PythonQt shows it."""
    if isinstance(value, QtCore.QObject):
        made = object.__new__(class_for(type(value)))
        object.__setattr__(made, "_it", value)
        return made
    if isinstance(value, (list, tuple)):
        return type(value)(wrap(one) for one in value) if type(value) in (list, tuple) else value
    return value


def unwrap(value):
    """What is given to PythonQt, for PySide."""
    refuse_numpy(value)
    if isinstance(value, Wrapped):
        return value._it
    return [unwrap(one) for one in value] if isinstance(value, list) else value


def refuse_numpy(value):
    """PythonQt does not know numpy's numbers."""
    if type(value).__module__ == "numpy":
        raise TypeError(f"{value!r} is numpy's; PythonQt wants int(...), float(...) or bool(...)")


def class_for(behind):
    """The class PythonQt shows for one of PySide's, or one of our own widgets."""
    if behind is QtCore.QObject:
        return Wrapped
    if behind not in _classes:
        bases = tuple(class_for(base) for base in behind.__bases__ if issubclass(base, QtCore.QObject))
        _classes[behind] = WrappedType(behind.__name__, bases or (Wrapped,), {"_behind": behind})
    return _classes[behind]


class Loader(QtUiTools.QUiLoader):
    """Makes Slicer's and CTK's widgets too. Refuses classes it does not know, as nobody would notice."""

    def createWidget(self, kind, parent=None, name=""):
        if kind not in CUSTOM:
            if not hasattr(QtWidgets, kind):
                raise ValueError(f"no widget class {kind}")
            return super().createWidget(kind, parent, name)
        widget = CUSTOM[kind](parent)
        widget.setObjectName(name)
        return widget


class Qt(ModuleType):
    """The module `qt`."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "QUiLoader":
            return class_for(Loader)
        for module in MODULES:
            if name in dir(module):
                found = getattr(module, name)
                if name == "QFileDialog":
                    return FileDialog
                return class_for(found) if isinstance(found, type) and issubclass(found, QtCore.QObject) else found
        raise AttributeError(f"qt has no {name}")


class FileDialog:
    """Asks nobody: a test says what is chosen. PythonQt returns the path alone, not PySide's pair."""

    chosen = ""

    @classmethod
    def getOpenFileName(cls, parent, title, folder="", kinds=""):
        return _text(cls.chosen, title, folder, kinds)

    @classmethod
    def getSaveFileName(cls, parent, title, folder="", kinds=""):
        return _text(cls.chosen, title, folder, kinds)

    @classmethod
    def getExistingDirectory(cls, parent, title, folder=""):
        return _text(cls.chosen, title, folder)


def _text(answer, *given):
    if not all(isinstance(one, str) for one in given):
        raise TypeError(f"file dialogs take texts, not {given!r}")
    return answer


def _pointer(it):
    return shiboken6.getCppPointer(it)[0] if shiboken6.isValid(it) else id(it)


def _called(function, words):
    def call(*arguments, **named):
        if named:
            raise TypeError(f"PythonQt takes no keyword arguments: {words}({', '.join(named)})")
        return wrap(function(*(unwrap(one) for one in arguments)))

    call.__name__ = words
    return call


def _signature(it, signature):
    """The signal as PySide spells it; pointers to MRML are Python objects to it. Raises if there is no such signal."""
    plain = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
    name, _, rest = plain.partition("(")
    kinds = ",".join("PyObject" if "vtk" in kind else kind for kind in rest.removesuffix(")").split(","))
    plain = f"{name}({kinds})" if rest else plain
    if it.metaObject().indexOfSignal(plain) < 0 or name in NEW_IN_QT6:
        raise ValueError(f"{type(it).__name__} has no signal {signature}")
    return plain


def _relay(slot, count):
    try:
        takes = [p for p in inspect.signature(slot).parameters.values() if p.kind is not p.KEYWORD_ONLY]
        most = count if any(p.kind is p.VAR_POSITIONAL for p in takes) else min(count, len(takes))
    except ValueError:  # some built-in functions do not say
        most = count

    def call(*given):
        try:
            slot(*(wrap(one) for one in given[:most]))
        except Exception:  # as PythonQt: shown, and the application goes on
            raised.append(traceback.format_exc())
            print(raised[-1], file=sys.stderr)

    exact = {0: lambda: call(), 1: lambda a: call(a), 2: lambda a, b: call(a, b), 3: lambda a, b, c: call(a, b, c)}
    return exact[count]
