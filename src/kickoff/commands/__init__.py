"""Commands in comments on pull requests: their words, and the rules that let each through or not."""
