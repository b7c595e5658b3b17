"""Attacks on a model: what makes it break a principle, found by transforms and by another model."""
