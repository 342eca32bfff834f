"""Checks: what is asked of a commit or a release before it may go on, one object each, and one runner."""
