"""Reports: tables, charts and the manifest of a study."""
