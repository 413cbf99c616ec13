"""`slicer.parameterNodeWrapper`, as much of it as a panel needs: typed fields kept in a node, tied to widgets by name.

Refused are what 5.8 has not: an integer on a slider, unions, and numbers without a range, whose widget loses its own.
"""

import json
import typing

import slicer
import vtk

from .pythonqt import Wrapped

SIGNALS = {
    "QCheckBox": ("checked", "toggled(bool)", bool),
    "QSpinBox": ("value", "valueChanged(int)", int),
    "QDoubleSpinBox": ("value", "valueChanged(double)", float),
    "ctkSliderWidget": ("value", "valueChanged(double)", float),
    "QLineEdit": ("text", "textChanged(QString)", str),
    "QComboBox": ("currentText", "currentTextChanged(QString)", str),
}


class WithinRange:
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def check(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} and {self.maximum}")


class Choice:
    def __init__(self, choices):
        self.choices = list(choices)

    def check(self, value):
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class Default:
    def __init__(self, value):
        self.value = value


def parameterNodeWrapper(cls):
    """A class whose annotated fields live in a vtkMRMLScriptedModuleNode."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        setattr(cls, name, Field(name, hint, cls.__dict__.get(name)))

    def __init__(self, node):
        self.parameterNode = node
        self._ties = {}

    methods = {"__init__": __init__, "connectParametersToGui": _connect, "disconnectGui": _disconnect}
    methods["connectGui"] = _connect_by_property
    for name in ("AddObserver", "RemoveObserver", "HasObserver", "StartModify", "EndModify", "Modified"):
        methods[name] = lambda self, *given, _name=name: getattr(self.parameterNode, _name)(*given)
    for name, method in methods.items():
        setattr(cls, name, method)
    cls._fields = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
    return cls


class Field:
    """One parameter: a node by its role, or a value as text."""

    def __init__(self, name, hint, default):
        arguments = typing.get_args(hint)
        self.name, self.kind, self.notes = name, arguments[0] if arguments else hint, arguments[1:]
        if not isinstance(self.kind, type):
            raise TypeError(f"{name}: {hint} is not understood by every Slicer from 5.8 on")
        self.node = issubclass(self.kind, slicer.vtkMRMLNode)
        told = [note.value for note in self.notes if isinstance(note, Default)]
        self.default = told[0] if told else default
        if self.default is None and not self.node:
            self.default = self.kind()
        self.limits = next((note for note in self.notes if hasattr(note, "check")), None)
        if self.kind in (int, float) and not isinstance(self.limits, WithinRange):
            raise TypeError(f"{name}: a number needs WithinRange, or its widget loses its range")

    def __get__(self, owner, kind=None):
        if owner is None:
            return self
        node = owner.parameterNode
        if self.node:
            return node.GetNodeReference(self.name)
        return self.kind(json.loads(node.GetParameter(self.name))) if node.GetParameter(self.name) else self.default

    def __set__(self, owner, value):
        node = owner.parameterNode
        if self.node:
            if value is not None and not isinstance(value, self.kind):
                raise TypeError(f"{self.name} is a {self.kind.__name__}, not {value!r}")
            node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
            return
        if type(value) is not self.kind:
            raise TypeError(f"{self.name} is a {self.kind.__name__}, not {value!r}")
        if self.limits is not None:
            self.limits.check(value)
        node.SetParameter(self.name, json.dumps(value))


def _connect_by_property(self, gui):
    """Tie every widget of `gui` with a property SlicerParameterName; as Slicer's, it gives nothing to undo it by."""
    named = {widget._it.property("SlicerParameterName"): widget for widget in vars(gui).values()
             if isinstance(widget, Wrapped)}  # fmt: skip
    _connect(self, {name: widget for name, widget in named.items() if name})


def _connect(self, widgets):
    """Tie widgets to the fields they are given for; a number for `disconnectGui`."""
    strange = set(widgets) - set(self._fields)
    if strange:
        raise ValueError(f"no parameter is called {', '.join(strange)}")
    tied = [Tie(self, self._fields[name], widget) for name, widget in widgets.items()]
    tag = len(self._ties) + 1
    ours = [tie.update for tie in tied]
    self._ties[tag] = (
        tied,
        self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: [one() for one in ours]),
    )
    return tag


def _disconnect(self, tag):
    if tag not in self._ties:
        return  # as Slicer's: silently
    tied, observer = self._ties.pop(tag)
    self.parameterNode.RemoveObserver(observer)
    for tie in tied:
        tie.undo()


class Tie:
    """A widget and a field that follow each other."""

    def __init__(self, owner, field, widget):
        self.owner, self.field, self.widget = owner, field, widget
        kind = widget.className()
        if field.node:
            if kind != "qMRMLNodeComboBox":
                raise TypeError(f"{widget.name}: a {kind} shows no nodes")
            self.signal = "currentNodeChanged(vtkMRMLNode*)"
        else:
            self.property, self.signal, wanted = SIGNALS[kind]
            if wanted is not field.kind:
                raise TypeError(
                    f"{widget.name}: a {kind} shows {wanted.__name__}, {field.name} is {field.kind.__name__}"
                )
            if isinstance(field.limits, WithinRange):
                widget.setRange(field.limits.minimum, field.limits.maximum)
            if kind == "QComboBox":
                widget.clear()
                widget.addItems(field.limits.choices)
        self.update()
        widget.connect(self.signal, self.changed)

    def update(self):
        value = getattr(self.owner, self.field.name)
        if self.field.node:
            if self.widget.currentNode() is not value:
                self.widget.setCurrentNode(value)
        elif getattr(self.widget, self.property) != value:
            if self.widget.className() == "QComboBox":
                self.widget.setCurrentText(value)
            else:
                setattr(self.widget, self.property, value)

    def changed(self, value):
        if self.field.limits is not None and self.field.kind is str and value not in self.field.limits.choices:
            return
        setattr(self.owner, self.field.name, value)

    def undo(self):
        self.widget.disconnect(self.signal, self.changed)
