"""From a commit to an artefact with a digest: built once, carried, verified on arrival."""

from kickoff.artifact.bundle import Bundle, build, directory, find, unpack, verify

__all__ = ["Bundle", "build", "directory", "find", "unpack", "verify"]
