r"""Numbers in a text, as exact fractions.

1,234.5, $-7, 5 million, 2.5e-3, 3 × 10^8, 1 1/2, 6½ and \frac{3}{4} are one each.

A comma counts only between groups of three digits ("1,2,3" are three numbers); signs of a currency
and of percent are passed over ("50%" is 50). Digits that stand in a word (H2O, GPT-4), in a version
(1.2.3), and exponents of something other than ten (m^2) are no numbers.

>>> [str(number) for number in numbers_in("From $1,234.50 to 3/4 of H2O, i.e. -2e3.")]
['2469/2', '3/4', '-2000']
"""

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

MOST_DIGITS = 1_000
"""Of a number; one with more, or with such an exponent, is none that anybody means."""

_GROUPED = r"\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?!\d)"
_DECIMAL = rf"(?>(?:{_GROUPED}|\d+)(?:\.\d+)?|\.\d+)"
_SLASH = "[/\u2044]"
_CURRENCY = r"(?:US|CA|A|C|HK|NZ|S)?[$€£¥₹₩₽₪₺฿¢]|(?:USD|EUR|GBP|JPY|CHF|CNY|INR)[ ]?"
_SIGN = r"[-+−–]"
_EXPONENT = r"[eE](?P<e>[-+−]?\d+)(?![\w])"
_POWER = rf"\s?[x×*·⋅]\s?10\s?(?:(?:\^|\*\*)\s?\{{?(?P<p>{_SIGN}?\d+)\}}?|(?P<s>[⁻⁺]?[⁰¹²³⁴-⁹]+))"
_NUMBER = re.compile(
    rf"""
    (?<![A-Za-z_^])(?<![A-Za-z_]-)(?<!\d\.)(?<!\d)         # not within a word or a number
    (?P<sign>(?<![\w.,)\]%]){_SIGN})?
    (?:{_CURRENCY})?
    (?P<inner>(?<![\w.,)\]%]){_SIGN})?
    (?:
      \\[dt]?frac\s?\{{(?P<top>\d+)\}}\s?\{{(?P<bottom>\d+)\}}
    | (?:(?P<whole>\d{{1,3}})[ ]{{1,2}})?
      (?<!\d{_SLASH})(?P<over>\d+){_SLASH}(?P<under>\d+)(?!{_SLASH}?\d)
    | (?P<decimal>{_DECIMAL})(?:{_POWER}|{_EXPONENT})?
      (?:[ ]?(?P<size>thousand|million|billion|trillion)\b)?
    )
    (?!\d|\.\d)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SIZES = {"": 1, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺−–", "0123456789-+--")


def numbers_in(text: str) -> Iterator[Fraction | None]:
    """Yield the numbers in a text, in their order; None for one without a value (3/0, 1e99999)."""
    for found in _NUMBER.finditer(_vulgar_fractions_spelt(text)):
        yield _value(found)


def _value(found: re.Match[str]) -> Fraction | None:
    parts = {name: value.translate(_SUPERSCRIPTS) for name, value in found.groupdict("").items()}
    exponent = parts["e"] or parts["p"] or parts["s"] or "0"
    if len(found[0]) > MOST_DIGITS or len(exponent) > 4 or abs(int(exponent)) > MOST_DIGITS:
        return None
    if below := parts["under"] or parts["bottom"]:
        if not int(below):
            return None
        size = int(parts["whole"] or 0) + Fraction(int(parts["over"] or parts["top"]), int(below))
    else:
        size = _decimal(parts["decimal"]) * Fraction(10) ** int(exponent)
        size *= _SIZES[parts["size"].lower()]
    return -size if "-" in (parts["sign"], parts["inner"]) else size


def _decimal(text: str) -> Fraction:
    whole, _, rest = re.sub(r"[^\d.]", "", text).partition(".")
    return Fraction(int(whole + rest or 0), 10 ** len(rest))


def _vulgar_fractions_spelt(text: str) -> str:
    """Return a text with 6 1/2 for 6½; other characters stay."""
    return "".join(_spelt(character) for character in text)


def _spelt(character: str) -> str:
    if unicodedata.category(character) != "No" or "FRACTION" not in unicodedata.name(character, ""):
        return character
    return " " + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
