"""The environments of a repository on GitHub: who may deploy to them, and after whose approval."""
