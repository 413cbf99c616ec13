"""The parts of the app, each a thin layer between MONAI Label's interfaces and `skiagraph.active`."""
