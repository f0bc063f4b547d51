"""Experiments of the paper, and of this project; ``python -m experiments list`` names them."""
