"""The one exception whose text is meant for the user."""


class UserError(Exception):
    """Something the user can mend.

    The message names the file, the key or item in it, and the remedy. Stages and the Snakefile
    print it alone, without a traceback, and exit with a code other than 0.
    """
