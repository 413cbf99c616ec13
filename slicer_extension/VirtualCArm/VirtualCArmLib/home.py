"""Where the module keeps what it knows of a scene: one node, and references from it by role.

The node is the one that `ScriptedLoadableModuleLogic.getParameterNode` finds, so the panel's parameters and a script
speak of the same nodes. Nothing is looked up by its name.
"""

import slicer
import vtk

from .errors import CArmError

MODULE = "VirtualCArm"


def home(scene):
    """The module's node in a scene; made if there is none."""
    nodes = scene.GetNodesByClass("vtkMRMLScriptedModuleNode")
    nodes.UnRegister(None)
    for number in range(nodes.GetNumberOfItems()):
        node = nodes.GetItemAsObject(number)
        if node.GetAttribute("ModuleName") == MODULE:
            return node
    node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
    node.UnRegister(None)
    node.SetSingletonTag(MODULE)
    node.SetModuleName(MODULE)
    node.SetAttribute("ModuleName", MODULE)
    node.SetName(MODULE)
    return scene.AddNode(node)


def held(scene, role):
    """The node in a role; None if there is none, or it was deleted."""
    return home(scene).GetNodeReference(role)


def hold(scene, role, node):
    """Give a role to a node, or to none."""
    home(scene).SetNodeReferenceID(role, None if node is None else node.GetID())


def held_or_made(scene, role, kind, name):
    """The node in a role; one of this class and name is made if there is none."""
    node = held(scene, role)
    if node is None or not node.IsA(kind):
        node = add(scene, kind, name)
        hold(scene, role, node)
    return node


UNDOABLE = ("vtkMRMLTableNode", "vtkMRMLMarkupsFiducialNode", "vtkMRMLLinearTransformNode")
"""Nodes whose changes the user may undo: small ones, for each state of the scene keeps a copy of them."""


def add(scene, kind, name):
    """A new node with a name of its own."""
    node = scene.CreateNodeByClass(kind)
    if node is None:
        raise CArmError(f"this Slicer has no {kind}; the module needs Slicer 5.8 or newer")
    node.UnRegister(None)
    node.SetName(scene.GenerateUniqueName(name))
    node = scene.AddNode(node)
    node.SetUndoEnabled(kind in UNDOABLE)
    return node


def drop(scene, node):
    """Take a node out of a scene, with its display and storage nodes."""
    if node is None or node.GetScene() is not scene:
        return
    if node.IsA("vtkMRMLDisplayableNode"):
        for number in reversed(range(node.GetNumberOfDisplayNodes())):
            display = node.GetNthDisplayNode(number)
            if display is not None:
                scene.RemoveNode(display)
    if node.IsA("vtkMRMLStorableNode"):
        for number in reversed(range(node.GetNumberOfStorageNodes())):
            storage = node.GetNthStorageNode(number)
            if storage is not None:
                scene.RemoveNode(storage)
    scene.RemoveNode(node)


def file_under(scene, node, parent):
    """Show a node below another in the subject hierarchy, where this Slicer keeps one."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if tree is None:
        return
    child, above = (tree.GetItemByDataNode(one) for one in (node, parent))
    if child and above:
        tree.SetItemParent(child, above)


class AllAtOnce:
    """While it lasts, nodes tell nobody of their changes; then each does once: `with AllAtOnce(node, other):`."""

    def __init__(self, *nodes):
        self.nodes = [node for node in nodes if node is not None]

    def __enter__(self):
        self.before = [node.StartModify() for node in self.nodes]

    def __exit__(self, kind, value, trace):
        for node, state in zip(self.nodes, self.before):
            node.EndModify(state)


def matrix(values):
    """A vtkMatrix4x4 of 16 numbers in rows."""
    made = vtk.vtkMatrix4x4()
    made.DeepCopy([float(x) for row in values for x in row])
    return made
