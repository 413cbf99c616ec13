# Slicer's own file does more; a scripted module needs none of it.
