"""Chapter 09: other people's tokenizers, models and trainers, and the size of a job."""
