"""The bodies of the verbs; each is imported only when its verb is typed."""
