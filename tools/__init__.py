"""Scripts that generate parts of the project; not included in the package."""
