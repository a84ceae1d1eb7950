"""The command: see `course_lib.instruct.command`."""

from course_lib.instruct.command import main

if __name__ == "__main__":
    raise SystemExit(main())
