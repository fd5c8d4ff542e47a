"""Texts of any kind in LaTeX, as plain ASCII that every engine and encoding reads."""

import re
import unicodedata

CHARACTER = r"\lorascopechar"
"""Command of a character that LaTeX has no name for: its code, hexadecimal and decimal."""
DEFINITION = (
    rf"\providecommand{{{CHARACTER}}}[2]"
    r"{\ifdefined\Umathcode\char#2\relax\else\texttt{U+#1}\fi}"
)
"""Unicode engines print the character, if the font has it, and pdfTeX its code."""

_NAMES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    '"': "''",
    **{one: "\\" + one for one in "{}_%&#$"},
    # at the start of a row, these would be read with the end of the row before
    **{one: "{" + one + "}" for one in "[]*"},
    **{one: f"${one}$" for one in "<>|"},
    **{"\u2013": "--", "\u2014": "---", "\u2018": "`", "\u2019": "'"},
    **{"\u201c": "``", "\u201d": "''", "…": r"\dots{}", "\u00a0": "~"},
    **{"ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}"},
    **{"ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}"},
    **{"§": r"\S{}", "¶": r"\P{}", "©": r"\copyright{}"},
}
_MATHS = {
    **{"\u2212": "-", "×": r"\times", "÷": r"\div", "±": r"\pm", "·": r"\cdot", "°": r"^{\circ}"},
    **{"←": r"\leftarrow", "→": r"\rightarrow", "↑": r"\uparrow", "↓": r"\downarrow"},
    **{"≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx", "∞": r"\infty", "¬": r"\neg"},
    **{"µ": r"\mu", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta"},
    **{"ε": r"\epsilon", "θ": r"\theta", "λ": r"\lambda", "μ": r"\mu", "π": r"\pi"},
    **{"ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "φ": r"\phi", "ω": r"\omega"},
    **{"Δ": r"\Delta", "Σ": r"\Sigma", "Ω": r"\Omega", "²": "^{2}", "³": "^{3}"},
}
_ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0308": '"'},
    **{"\u0306": "u", "\u0307": ".", "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c"},
    "\u0323": "d",
}
_HYPHENS = re.compile(r"-(?=-)")  # two in a row would become a dash


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it, on one line."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(map(_written, _HYPHENS.sub("-\ufeff", plain)))


def _written(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if character in _MATHS:
        return f"${_MATHS[character]}$"
    if character == "\ufeff":
        return "{}"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        return ""  # it prints nothing
    return character if character.isascii() else _accented(character)


def _accented(character: str) -> str:
    letter, *accents = list(unicodedata.normalize("NFD", character))
    if len(accents) == 1 and accents[0] in _ACCENTS and letter.isascii():
        return f"\\{_ACCENTS[accents[0]]}{{{letter}}}"
    return f"{CHARACTER}{{{ord(character):04X}}}{{{ord(character)}}}"
