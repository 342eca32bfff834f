"""The host of an environment: what it must have before a release can be brought to it."""
