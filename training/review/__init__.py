"""What people make of a run: replies to review out, verdicts back, and how far they agree."""
