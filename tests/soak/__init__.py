"""Long runs: sessions on threads, and commands that are killed."""
