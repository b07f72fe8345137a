"""The question that a comparison of translated images answers: there are two, and they differ."""

from __future__ import annotations

from seeingkit.results import Results

from .names import file_name


def question_of(results: Results) -> str:
    """One sentence on what is asked, where the generated images are translations; else empty.

    ::

        question_of(Results.model_validate_json(text))
    """
    source = results.generated.details.get("translates")
    if results.generator is None or not isinstance(source, str):
        return ""
    name = file_name(source)
    if results.paired is not None:
        return (
            f"Asked: what vanishes in translation? Each image of {name} is compared with its own "
            "translation, pair by pair; whether translations look like another set of images is "
            "not asked."
        )
    return (
        f"Asked: what do translations of {name} leave out of {file_name(results.data.name)}? Two "
        "sets of images are compared, no pairs: a class that the translated images never had "
        "counts as left out too."
    )
