"""`python -m contrastseg.suite` writes the JSON schema that editors read: workflow/schemas/suite.schema.json."""

from contrastseg.files import write_if_changed
from contrastseg.paths import CHECKOUT
from contrastseg.suite import json_schema

if __name__ == "__main__":
    write_if_changed(CHECKOUT / "workflow" / "schemas" / "suite.schema.json", json_schema())
