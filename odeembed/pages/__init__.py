"""Pages for a browser: what a run is and found, several beside each other, and one to play with."""
