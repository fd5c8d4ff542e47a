"""Looks at a study: what is planned, done, running or failed, and what nothing needs any more."""
