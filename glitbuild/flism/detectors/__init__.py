"""Object detectors behind one interface; a module a kind."""
