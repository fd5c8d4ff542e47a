"""What determines a file's content: settings, sources and code, as digests of 12 hex digits."""
