"""Seconds to the first release of a service that never saw Kickoff."""
