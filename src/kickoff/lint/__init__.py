"""The linter: steps of workflows that look like checks, deploys or rollbacks, and cannot be."""
