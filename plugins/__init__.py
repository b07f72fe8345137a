"""Installed as ``seeingkit_plugins``; the folder name ``plugins`` is never an import name."""

if __name__ != "seeingkit_plugins":  # a folder on sys.path must not shadow other people's packages
    raise ImportError(
        "import seeingkit_plugins, not plugins: this folder is only the source of that package"
    )
