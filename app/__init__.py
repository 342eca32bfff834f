"""Football match predictions: the service that the pipeline ships.

Read it in this order: ``model`` (pure mathematics), ``storage`` (database), ``cache`` (two levels),
``service`` (the use cases that join them), ``api`` (HTTP), ``telemetry``, ``main`` (the assembly) and
``__main__`` (the process).
"""
