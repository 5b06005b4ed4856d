"""Studies of the rules: evaluation, comparisons, text-to-2D, the toy, the benchmark."""
