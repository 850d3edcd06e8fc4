"""The first half of the method: sentences, candidate regions, and the matching of the two."""
