"""A project that Kickoff ships: the files that it gives one."""
