"""What code does, as a hash that survives moves and renames: definitions, followed in the source from name to name."""

from contrastseg.code_graph.graph import code_fingerprint, definition, modules_reached, reached_of
from contrastseg.code_graph.modules import files_below

__all__ = ["code_fingerprint", "definition", "files_below", "modules_reached", "reached_of"]
