"""One script per figure of the paper; ``python -m experiments list`` names them."""
