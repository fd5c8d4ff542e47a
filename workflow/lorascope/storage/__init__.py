"""Files that say what they are: tables, journals of answers, features, locks, downloads."""
