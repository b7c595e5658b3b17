"""Constitutions of other projects: their files read, and ours written as theirs."""

from constitution.interchange.draft import Imported
from constitution.interchange.formats import export_constitution, import_constitution
from constitution.interchange.shapes import Exported, Format

__all__ = ["Exported", "Format", "Imported", "export_constitution", "import_constitution"]
