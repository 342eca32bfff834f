"""The supply chain: known vulnerabilities and licences of dependencies, and secrets in a change."""
