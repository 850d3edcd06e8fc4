"""The method's first half, pure: sentences, candidate regions, and which sentence goes to which region."""
