"""What runs the course: its command line, environment, grading, benchmarks, checks."""
