"""What makes parts of the project and is no part of the package."""
