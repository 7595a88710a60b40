"""Every picture, drawn from data alone."""
