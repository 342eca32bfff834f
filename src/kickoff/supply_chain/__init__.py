"""The supply chain: known vulnerabilities of dependencies, and secrets in a change."""
