"""What happened? From a hit to stored events, and from stored events to figures. Knows no other feature."""
