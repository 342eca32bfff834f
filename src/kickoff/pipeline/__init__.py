"""Runs ``cd.yml`` on this machine through act: what goes in, what is shown, and what is left tidy after."""
