"""A local page to rewrite a generator by hand (``seeingkit edit``), over one ``Session``.

``requests`` are the bodies that the page sends, ``desk`` answers them one at a time, ``units``
shows images with units changed, ``server`` puts both behind a secret address on this machine alone.
Importing this loads no server.
"""
