"""Constitutions of other projects: their files read, and ours written as theirs."""

from constitution.interchange.draft import Exported, Format, Imported
from constitution.interchange.formats import export_constitution, import_constitution

__all__ = ["Exported", "Format", "Imported", "export_constitution", "import_constitution"]
