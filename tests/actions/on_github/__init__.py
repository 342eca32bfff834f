"""Stand-ins for the actions of GitHub's that need GitHub, by the contract of the versions that are pinned."""
