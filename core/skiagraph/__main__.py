"""`python -m skiagraph`, as torchrun starts it."""

from skiagraph.cli import main

main()
