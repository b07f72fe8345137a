"""Validation by planted omissions: are the statistics right where the truth is known?"""
