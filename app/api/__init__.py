"""HTTP: what is asked and answered. The use cases live in ``app.service``."""
