"""What 3D Slicer's application adds to slicer-core, stood in for: as strict as PythonQt, so that tests mean something.

`slicer-core` from PyPI is Slicer's own C++: scene, nodes, logics, displayable managers are real. Ours are `qt`, `ctk`,
the qMRML widgets, `slicer.app`, the base classes of scripted modules, `parameterNodeWrapper` and `i18n`.
"""
