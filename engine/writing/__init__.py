"""Prompts written from a constitution: what tempts an assistant to break each principle, and what
only looks like it."""
