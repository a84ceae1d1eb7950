"""`python3 -m course_lib VERB`: the command line, which `course_tools.cli` answers."""

import os
import sys

if not __package__:  # called as a folder: python3 somewhere/course_lib lab
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from course_tools.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
