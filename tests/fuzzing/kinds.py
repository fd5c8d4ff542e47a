"""The kinds of bad input, and how much of the cases each has."""

from tests.fuzzing import data, models, studies

SHARES = {
    "study": 0.44,
    "files": 0.04,
    "audio": 0.18,
    "questions": 0.15,
    "results": 0.10,
    "adapter": 0.05,
    "model": 0.025,
    "salmonn": 0.015,
}
KINDS = {
    kind.name: kind
    for kind in (
        studies.STUDY,
        studies.FILES,
        data.AUDIO,
        data.QUESTIONS,
        data.RESULTS,
        models.ADAPTER,
        models.MODEL,
        models.SALMONN,
    )
}
