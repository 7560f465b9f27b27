"""`python -m contrastseg` is `contrastseg`: rules call it so, and need no activated environment."""

from contrastseg.cli import app

if __name__ == "__main__":
    app(prog_name="contrastseg")
