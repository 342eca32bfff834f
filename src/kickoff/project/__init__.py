"""The project: a repository's description of its service, written by init, validated, and kept up to date."""
