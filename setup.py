"""Finds every package: ``seeingkit``, and two folders installed under names of their own."""

from setuptools import find_packages, setup

FOLDERS = {
    "seeingkit": "seeingkit",
    "seeingkit_adapters": "adapters",
    "seeingkit_plugins": "plugins",
}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for name, folder in FOLDERS.items()
        for package in (name, *(f"{name}.{inside}" for inside in find_packages(folder)))
    ],
)
