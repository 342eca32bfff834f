"""The performance baseline: scenarios, load, samples, absolute rules, and the paired comparison with live.

Modules here never import ``kickoff.release``; a gate's verdict reaches the engine as evidence.
"""
