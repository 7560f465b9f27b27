"""The folders beside the package that commands need travel inside it; pyproject.toml says everything else.

`contrastseg/_shipped` of a wheel holds what stands in SHIPPED, at the paths of the repository. In a checkout there is
no such folder: `contrastseg.paths` finds the same files where they lie.
"""

import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# Data alone: Python files below the package would count as its code (see contrastseg.code_graph).
SHIPPED = (
    "Snakefile",
    "environment.yml",
    "requirements.lock",
    "benchmarks/*.yaml",
    "benchmarks/datasets.csv",
    "benchmarks/published/*.csv",
    "benchmarks/recipes/*.yaml",
    "benchmarks/speed/results/*.csv",
    "benchmarks/splits/*.json",
    "profiles/**/*.yaml",
    "workflow/report/*.rst",
    "workflow/rules/**/*.smk",
    "workflow/schemas/*.json",
)


class FreshBuild(build_py):
    """A build without leftovers: setuptools adds to an earlier `build/lib`, where a removed method would be found."""

    def run(self) -> None:
        """Empty the folder, then copy the files."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    cmdclass={"build_py": FreshBuild},
    packages=[*find_packages(include=["contrastseg", "contrastseg.*"]), "contrastseg._shipped"],
    package_dir={"contrastseg._shipped": "."},
    package_data={
        "contrastseg": ["py.typed"],
        "contrastseg._shipped": list(SHIPPED),
        "contrastseg.cli": ["templates/**"],
        "contrastseg.networks": ["catalogue.json"],
        "contrastseg.report.page": ["templates/**"],
    },
    include_package_data=False,
)
