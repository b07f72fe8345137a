"""A local page over a folder of runs: list, compare, open reports (``seeingkit view``).

Made of the files of runs alone; importing this loads neither torch nor a server. Whoever reaches
the port sees nothing without a secret address, and no file is served that a listing did not find
inside the folder (``access``, ``files``).
"""
