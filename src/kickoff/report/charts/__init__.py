"""Charts as inline SVG: each one a pure function from evidence to a figure."""
