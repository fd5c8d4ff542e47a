"""The kinds of bad input, and how much of the cases each has."""

from tests.fuzzing import beginnings, data, imports, models, replies, speech, studies

SHARES = {
    "study": 0.38,
    "files": 0.04,
    "audio": 0.16,
    "questions": 0.15,
    "results": 0.10,
    "replies": 0.04,
    "predictions": 0.02,
    "adapter": 0.05,
    "audit": 0.05,
    "model": 0.025,
    "salmonn": 0.015,
    "speech": 0.01,
    "new": 0.01,
}
KINDS = {
    kind.name: kind
    for kind in (
        studies.STUDY,
        studies.FILES,
        data.AUDIO,
        data.QUESTIONS,
        data.RESULTS,
        replies.REPLIES,
        imports.PREDICTIONS,
        models.ADAPTER,
        models.AUDIT,
        models.MODEL,
        models.SALMONN,
        speech.SPEECH,
        beginnings.NEW,
    )
}
