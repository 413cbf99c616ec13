"""Real X-rays annotated: what readers say of them is kept, who reads which next is chosen, and networks learn of it."""
