"""Pictures from http(s) addresses: which may be asked, one request, many at a time."""
