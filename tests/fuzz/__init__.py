"""Coverage-guided fuzzing by libFuzzer: targets, their seeds, and a command for long runs."""
