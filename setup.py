"""The packages of a wheel: those of the repository, and `scripts/` under a name that no one else installs."""

from setuptools import find_namespace_packages, find_packages, setup

SCRIPTS = "llm_probe_scripts"
OURS = find_packages(include=[f"{name}{rest}" for name in ("toy", "llm_probe", "sae", "causal") for rest in ("", ".*")])
FOLDERS = find_namespace_packages("scripts", include=["toys", "replication"])
BELOW = {SCRIPTS: "scripts", **{f"{SCRIPTS}.{name}": f"scripts/{name}" for name in FOLDERS}}

setup(packages=[*OURS, *BELOW], package_dir=BELOW, package_data={"": ["*.html", "templates/*", "weights/*"]})
