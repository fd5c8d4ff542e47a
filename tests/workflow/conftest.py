import sys
from pathlib import Path

# The tiny random SALMONN that the tests of the model build.
sys.path.append(str(Path(__file__).parent.parent / "unit/models"))
