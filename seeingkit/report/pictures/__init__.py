"""The pictures of the page: gallery and inversions, and how they are encoded."""
