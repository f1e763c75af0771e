"""Building, checking, packing and timing for Android phones."""
