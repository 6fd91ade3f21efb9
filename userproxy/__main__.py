"""`python -m userproxy` is the `userproxy` program.

For environments where scripts are not installed.
"""

from userproxy.cli import main

if __name__ == "__main__":
    main()
