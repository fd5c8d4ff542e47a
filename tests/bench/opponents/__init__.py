"""What a user would pick instead of lorascope, written well: each a program of its own."""
