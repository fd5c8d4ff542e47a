"""What every job would do again at its start, done once in the server that jobs are forked from.

Only what follows from the package's own files: nothing of a study, a model or a folder.
"""

from io import BytesIO

from matplotlib.figure import Figure

from lorascope.identity.code import changed_code, code_digests
from lorascope.planning.plan import STAGES

ANSWERERS = ("salmonn", "hf_text")


def draw() -> None:
    """Let matplotlib find its fonts and formats."""
    figure = Figure()
    figure.subplots().set_title("A")
    for form in ("svg", "png"):
        figure.savefig(BytesIO(), format=form)


changed_code(
    code_digests(
        [
            *(f"lorascope.stages.{stage}" for stage in STAGES),
            *(f"lorascope.models.{family}.answerer" for family in ANSWERERS),
            "lorascope.models.salmonn.encoder",
        ]
    )
)
draw()
