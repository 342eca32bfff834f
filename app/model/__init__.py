"""The goal model: pure functions, no input or output.

``goals`` turns ratings into probabilities, ``learning`` turns a result into new ratings, ``scoring`` says how
good a forecast was.
"""
