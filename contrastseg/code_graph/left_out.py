"""What no hash has a part of: modules and calls that change no result."""

from __future__ import annotations

from contrastseg.code_graph.modules import PACKAGE

# Never part of a fingerprint, though everybody imports them: how errors are worded, how files are written and where
# they lie change no result, nor does how code is hashed; what our settings modules say arrives, resolved, in the
# configuration that each rule carries beside its fingerprint; the registry only finds a class by its name; the version
# number alone changes nothing.
LEFT_OUT = frozenset(
    {
        PACKAGE,
        *(
            f"{PACKAGE}.{name}"
            for name in (
                "code_graph",
                "data.settings",
                "errors",
                "evaluation.settings",
                "files",
                "methods.registry",
                "paths",
                "plugins",
                "report.settings",
                "training.settings",
            )
        ),
    }
)

# Calls whose arguments are words for a reader.
WORDING = frozenset(f"{PACKAGE}.{name}" for name in ("errors", "files.require_path", "methods.contract.Card"))
