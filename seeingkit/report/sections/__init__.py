"""What the page shows, section by section."""
