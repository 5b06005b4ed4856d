"""The eight Gaussians of the JSD paper: every objective on points of a plane, where the score is known."""
