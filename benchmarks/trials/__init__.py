"""The trials of the battery: each does one kind of harm many times and counts what it finds."""
