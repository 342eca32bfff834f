"""Time of a deployment that changes nothing."""
