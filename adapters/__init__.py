"""Installed as ``seeingkit_adapters``; the folder name ``adapters`` is never an import name."""

if __name__ != "seeingkit_adapters":  # a folder on sys.path must not shadow other people's packages
    raise ImportError(
        "import seeingkit_adapters, not adapters: this folder is only the source of that package"
    )
