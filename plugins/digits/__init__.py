"""Real handwritten digits, a network that reads them, and small generators that draw them."""
