"""Time of the commands that people wait for, beside those of another commit."""
