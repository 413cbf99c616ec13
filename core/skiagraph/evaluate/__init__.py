"""How good findings are, measured."""
