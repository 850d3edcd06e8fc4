"""Pictures: what is stored of them, upright and checked, and the formats they come in."""
