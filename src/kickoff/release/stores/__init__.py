"""Where an environment's state is kept."""
