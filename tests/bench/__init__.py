"""What lorascope costs beside what a user would pick instead: see docs/performance.md."""
