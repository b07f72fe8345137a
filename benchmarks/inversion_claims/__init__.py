"""The rate of false claims of layer inversion, where it is known which objects can be drawn."""
