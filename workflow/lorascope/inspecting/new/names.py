"""What columns are called in the tables of the field, the likeliest name first.

Without case, blanks, hyphens and underscores, as ``columns.named`` compares them.
"""

HARMLESS = "guesses, for a study that a user reads before it runs"

QUESTIONS = (
    *("question", "prompt", "instruction", "query", "problem", "questionstem", "stem"),
    *("questiontext", "ctx", "input", "inputs", "goal", "premise"),
)
CONTEXTS = ("context", "passage", "article", "story", "support", "background", "document")
ANSWERS = (
    *("answer", "answers", "target", "targets", "gold", "goldanswer", "label", "output"),
    *("response", "completion", "solution", "reference", "expected", "correctanswer"),
    *("bestanswer", "translation", "summary", "finalanswer", "correct"),
)
TRANSCRIPTS = (
    *("transcript", "transcription", "sentence", "text", "normalizedtext", "utterance"),
    *("words", "word", "caption", "digit", "answer", "target", "label"),
)
TEXTS = ("text", "passage", "content", "document", "page", "article", "story", "sentence", "body")
CLIPS = (
    *("audio", "clip", "path", "file", "filename", "audiopath", "filepath", "wav", "recording"),
    *("audioid", "audiofile", "audiofilepath", "wavfile", "sound"),
)
IDS = ("id", "qid", "questionid", "itemid", "exampleid", "uid", "uuid", "key", "index", "idx")
CATEGORIES = ("category", "subject", "topic", "subtask", "task", "domain", "subset", "type")
OPTIONS = ("choices", "options", "answers", "candidates", "endings", "alternatives")
ALIASES = ("aliases", "normalizedaliases", "answeraliases", "synonyms")
"""Of lists that are no options, as each of their texts is right."""
LETTERS = ("label", "labels", "letter", "letters", "key", "keys")
RIGHT = (
    *("answer", "answerkey", "answers", "label", "labels", "gold", "goldlabel", "target"),
    *("correct", "correctanswer", "correctoption", "correctchoice", "solution"),
    *("answeridx", "answerindex", "answerid", "cop", "goldindex"),
)
"""Of a column that says which option is right."""
