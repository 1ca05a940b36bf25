"""The command line `arch`: thin commands over `registry`, and everything that is written to a terminal.

`main` declares the commands and their options, one file per command does the work, `render` writes, `guard` turns every
failure into one sentence and an exit code: 0 fine, 1 invalid or a check failed, 2 wrong usage or unreadable input.
"""
