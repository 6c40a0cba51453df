"""`python -m ifan`."""

from ifan.commands import main

main()
