"""F1, ROUGE, BLEU, chrF and error rates: as the libraries compute them, and odd cases."""

import jiwer
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from lorascope.errors import UserError
from tests.support.scoring import asked, credit, scores
from tests.support.span_cases import CASES, expected
from tests.support.span_cases import item as span_item

PAIRS = [
    ("the cat sat on the mat", ["the cat sat on the mat"]),
    ("the cat sat on a mat", ["the cat sat on the mat", "a cat sat on a mat"]),
    ("a dog", ["the cat sat on the mat"]),
    ("The Cat, sat!", ["the cat sat"]),
    ("cat", ["cat"]),
    ("", ["the cat"]),
    ("the " * 40, ["the cat", "the dog ate it all the way"]),
    ("Das ist ein Haus.", ["Dies ist ein kleines Haus.", "Das ist ein Haus"]),
]


# ----------------------------------------------------------------------- F1, ROUGE, BLEU, chrF


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_f1_is_that_of_the_official_script(case):
    (found,) = scores("f1", case["response"], span_item(*case["answers"]))
    assert found.credit == pytest.approx(expected(case, "official")[0], abs=1e-6)
    assert found.metric == "f1"


@pytest.mark.parametrize(("response", "answers"), PAIRS)
@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_is_rouge_score_s_f_measure_of_the_best_answer(response, answers, stemmer):
    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    library = RougeScorer(kinds, use_stemmer=stemmer)
    best = {k: max(library.score(a, response)[k].fmeasure for a in answers) for k in kinds}
    found = scores("rouge", response, asked(*answers), kinds=kinds, stemmer=stemmer)
    assert {one.metric: one.credit for one in found} == best


def test_rouge_has_a_metric_for_each_kind_that_is_asked_for():
    found = scores("rouge", "a cat", asked("the cat"))
    assert [one.metric for one in found] == ["rouge1", "rouge2", "rougeL"]
    assert [one.measure.title for one in found] == ["ROUGE-1", "ROUGE-2", "ROUGE-L"]
    (found,) = scores("rouge", "cats", asked("cat"), kinds=["rouge1"])
    assert found.credit == 0
    assert credit("rouge", "jumping", "jumps", kinds=["rouge1"], stemmer=True) == 1


def test_rouge_refuses_answers_that_it_cannot_read():
    with pytest.raises(
        UserError, match="'答案' has no Latin letter or figure, and rouge-score reads"
    ):
        scores("rouge", "答案", asked("答案"))
    assert credit("chrf", "答案", "答案") == 1
    assert credit("bleu", "答案", "答案", tokenize="char") == 1


@pytest.mark.parametrize(("response", "answers"), PAIRS)
def test_bleu_and_chrf_are_sacrebleu_s_of_a_sentence(response, answers):
    bleu = sacrebleu.sentence_bleu(response, answers).score / 100
    chrf = sacrebleu.sentence_chrf(response, answers).score / 100
    assert credit("bleu", response, *answers) == pytest.approx(bleu, abs=1e-9)
    assert credit("chrf", response, *answers) == pytest.approx(chrf, abs=1e-9)
    plus = sacrebleu.sentence_chrf(response, answers, word_order=2).score / 100
    assert credit("chrf", response, *answers, word_order=2) == pytest.approx(plus, abs=1e-9)


def test_an_equal_text_has_full_credit_without_rounding():
    for text in ("the", "a b", "a b c", "one two three four five", "Ünï cödé 1"):
        for name in ("bleu", "chrf", "f1"):
            assert credit(name, text, text) == 1


def test_what_is_averaged_is_told_as_no_corpus_value():
    """The corpus value comes from all counts together, and is another number."""
    pairs = [("the cat sat on the mat", "the cat sat on the mat"), ("no", "the dog ate it all")]
    mean = sum(credit("bleu", said, right) for said, right in pairs) / 2
    corpus = sacrebleu.corpus_bleu([p[0] for p in pairs], [[p[1] for p in pairs]]).score / 100
    assert mean == pytest.approx(0.5)
    assert corpus == pytest.approx(0.543, abs=0.001)
    (bleu,), (chrf,) = (scores(name, "a", asked("a")) for name in ("bleu", "chrf"))
    assert "mean BLEU of sentences" in bleu.measure.title
    assert "mean chrF of sentences" in chrf.measure.title


def test_case_counts_unless_it_is_told_otherwise():
    for name in ("bleu", "chrf"):
        assert credit(name, "THE CAT", "the cat") < 0.5
        assert credit(name, "THE CAT", "the cat", lowercase=True) == 1


# -------------------------------------------------------------------------------- error rates


@pytest.mark.parametrize(
    ("said", "reference", "errors", "words"),
    [
        ("the cat sat", "the cat sat", 0, 3),
        ("The cat, sat.", "the cat sat", 0, 3),
        ("the bat sat", "the cat sat", 1, 3),
        ("the sat", "the cat sat", 1, 3),
        ("the the cat sat", "the cat sat", 1, 3),
        ("", "the cat sat", 3, 3),
        ("...", "the cat sat", 3, 3),
        ("a b c d e", "x", 5, 1),
        ("well known", "well-known", 0, 2),
    ],
)
def test_errors_by_the_words_of_the_reference(said, reference, errors, words):
    (found,) = scores("wer", said, asked(reference))
    assert (found.credit, found.weight, found.metric) == (errors, words, "wer")
    measure = vars(found.measure)
    assert measure["title"] == "word error rate"
    assert (measure["scale"], measure["higher_is_better"], measure["bounded"]) == (
        "percent",
        False,
        False,
    )


@pytest.mark.parametrize(("response", "answers"), PAIRS)
def test_rates_are_jiwer_s(response, answers):
    rates = {
        "wer": min(jiwer.wer(answer, response) for answer in answers),
        "cer": min(jiwer.cer(answer, response) for answer in answers),
    }
    for name, rate in rates.items():
        assert credit(name, response, *answers, normalise=[]) == pytest.approx(rate)


def test_a_category_s_rate_is_that_of_the_corpus():
    said = ["the bat sat", "", "one two three four", "x"]
    references = ["the cat sat", "one two", "one two three", "y"]
    for name, rate in (("wer", jiwer.wer), ("cer", jiwer.cer)):
        found = [scores(name, s, asked(r))[0] for s, r in zip(said, references, strict=True)]
        mean = sum(one.credit for one in found) / sum(one.weight for one in found)
        assert mean == pytest.approx(rate(references, said))


def test_of_several_references_the_one_with_the_lowest_rate_counts():
    (found,) = scores("wer", "a b c d", asked("a", "a b c d e f g h", "a x"))
    assert (found.credit, found.weight) == (4, 8)


def test_words_and_characters_can_be_counted_in_one_run():
    word, character = scores("wer", "the bat", asked("the cat"), by=["word", "character"])
    assert (word.metric, word.credit, word.weight) == ("wer", 1, 2)
    assert (character.metric, character.credit, character.weight) == ("cer", 1, 7)
    assert character == scores("cer", "the bat", asked("the cat"))[0]
    assert character.measure.title == "character error rate"
    assert "1 substitutions, 0 deletions, 0 insertions in 2 words" in word.reason


@pytest.mark.parametrize(
    ("said", "reference"),
    [("10 of clubs", "ten of clubs"), ("55", "five five"), ("7", "seven"), ("Twenty-one.", "21")],
)
def test_a_figure_stands_for_a_number_word_where_it_is_asked_for(said, reference):
    names = ["lower", "punctuation", "numbers", "whitespace"]
    assert credit("wer", said, reference) > 0
    for name in ("wer", "cer"):
        assert credit(name, said, reference, normalise=names) == 0


@pytest.mark.parametrize("reference", ["", " ", "..."])
def test_a_reference_without_a_word_is_refused(reference):
    for name in ("wer", "cer"):
        with pytest.raises(UserError, match="has no word after the normalisations lower, punct"):
            scores(name, "a", asked("a", reference))
