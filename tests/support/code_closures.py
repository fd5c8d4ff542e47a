"""What decides each result, and what never does, as paths within the package."""

LOADING = {"models/weights.py", "models/pretrained.py"}
HF_AUDIO = {
    f"models/hf_audio/{name}.py"
    for name in ("architecture", "listening", "mel", "phi4", "prompting")
}
ITEMS = {"stages/dataset.py", "benchmarks/items.py"}
FEATURES = {"stages/encode.py", "storage/features.py", "benchmarks/audio.py"}
FEATURES |= {"benchmarks/conditions.py", "models/weights.py"}
SALMONN_FEATURES = {
    f"models/salmonn/{name}.py"
    for name in ("beats", "bridge", "checkpoint", "encoder", "files", "frontend")
}
SALMONN_FEATURES |= {"models/together.py"}
ANSWERS = {
    "stages/infer.py",
    *(f"inferring/{name}.py" for name in ("answering", "clips", "lanes", "loaded", "shard")),
    "models/batching.py",
    "models/decoding.py",
    "models/lora.py",
    "models/row_scalings.py",
    "models/places.py",
    "models/profiles.py",
    "study/profiles.py",
    *(f"models/strength/{name}.py" for name in ("adapting", "changes", "kinds", "references")),
    "models/likelihood.py",
    "models/stop_strings.py",
    *LOADING,
}
SAMPLER = "models/engine/sampler.py"
ENGINE = {
    f"models/engine/{name}.py"
    for name in ("choosing", "drift", "engine", "forward", "lanes", "prefill", "rows_cache")
} | {"models/prefixes.py", SAMPLER}
TEXT_ANSWERS = {"models/hf_text/answerer.py"}
SPEECH_ANSWERS = {
    f"models/hf_speech/{name}.py"
    for name in ("answerer", "files", "prompting", "reading", "recogniser")
}
SPEECH_ANSWERS |= {"models/together.py"}
SPEECH_TRAINING = {*SPEECH_ANSWERS, "models/hf_speech/encoder.py", "models/hf_speech/training.py"}
SPEECH_TRAINING |= {"models/finetuning/clips.py"}
SALMONN_ANSWERS = {f"models/salmonn/{name}.py" for name in ("answerer", "checkpoint", "files")}
TRAINING = {"stages/finetune.py", "benchmarks/examples.py", *LOADING}
TRAINING |= {
    f"models/finetuning/{name}.py"
    for name in (
        "batches", "checkpoints", "distributed", "groups", "names", "outputs", "trainee", "trainer"
    )
}  # fmt: skip
TEXT_TRAINING = {"models/hf_text/training.py", "models/hf_text/encoding.py", *TEXT_ANSWERS}
TABLE = {"benchmarks/audio.py", "benchmarks/conditions.py"} | {
    f"benchmarks/table/{name}.py"
    for name in ("asking", "columns", "files", "items", "options", "places", "sources")
}
IMPORTS = {"stages/importing.py", "exchange/replies.py", "benchmarks/items.py"}
AUDITS = {"stages/audit.py"} | {f"models/{n}.py" for n in ("adapter_config", "places", "weights")}
AUDITS |= {"models/strength/kinds.py"} | {
    f"models/auditing/{name}.py"
    for name in (
        "adapters", "audit", "base", "intruders", "measures", "oddities", "tensors", "weights"
    )
}  # fmt: skip
DERIVES = {"stages/derive.py", "models/adapter_config.py", "models/weights.py"} | {
    *("models/auditing/adapters.py", "models/auditing/tensors.py", "models/deriving/parts.py"),
}
SCORES = {"stages/score.py", "scoring/item_score.py", "study/categories.py"}

DECIDES = {
    "dataset sakura": ITEMS
    | {"benchmarks/sakura/items.py", "benchmarks/audio.py", "benchmarks/conditions.py"}
    | {"benchmarks/options.py"},
    "dataset squad": ITEMS | {"benchmarks/squad/items.py"},
    "dataset table": ITEMS | TABLE,
    "dataset lm_eval": ITEMS
    | {
        f"benchmarks/lm_eval/{name}.py"
        for name in ("generation", "harness", "items", "measuring", "tasks")
    },
    "encode salmonn": FEATURES | SALMONN_FEATURES,
    "encode hf_audio": FEATURES | LOADING | HF_AUDIO | {"models/hf_audio/encoder.py"},
    "encode hf_speech": FEATURES
    | LOADING
    | {f"models/hf_speech/{name}.py" for name in ("encoder", "files", "recogniser")}
    | {"models/together.py"},
    "infer hf_speech": ANSWERS | SPEECH_ANSWERS | {SAMPLER},
    "infer salmonn": ANSWERS | ENGINE | SALMONN_ANSWERS,
    "infer hf_text": ANSWERS | ENGINE | TEXT_ANSWERS,
    "infer hf_audio": ANSWERS | ENGINE | HF_AUDIO | {"models/hf_audio/answerer.py"},
    "finetune salmonn on sakura": TRAINING
    | SALMONN_FEATURES
    | SALMONN_ANSWERS
    | {"models/salmonn/training.py", "models/finetuning/clips.py"}
    | {"benchmarks/sakura/items.py", "benchmarks/audio.py", "benchmarks/options.py"},
    "finetune hf_speech on sakura": TRAINING
    | SPEECH_TRAINING
    | {"benchmarks/sakura/items.py", "benchmarks/audio.py", "benchmarks/options.py"},
    "finetune hf_speech on table": TRAINING | SPEECH_TRAINING | TABLE,
    "finetune hf_text on jsonl": TRAINING | TEXT_TRAINING | {"benchmarks/jsonl.py"},
    "finetune hf_text on squad": TRAINING | TEXT_TRAINING | {"benchmarks/squad/items.py"},
    "finetune hf_text on table": TRAINING | TEXT_TRAINING | TABLE,
    "finetune salmonn on table": TRAINING
    | SALMONN_FEATURES
    | SALMONN_ANSWERS
    | {"models/salmonn/training.py", "models/finetuning/clips.py", *TABLE},
    "importing sakura": IMPORTS | {"exchange/sakura.py"},
    "importing lm_eval": IMPORTS | {"exchange/lm_eval.py"},
    "importing jsonl": IMPORTS | {"exchange/jsonl.py"},
    "score choice": SCORES
    | {
        f"scoring/choice/{name}.py"
        for name in (
            "asides", "context", "cues", "letters", "lexicon", "mentions", "parts",
            "patterns", "roles", "scorer", "text",
        )
    },
    "score official": SCORES | {"scoring/official.py", "scoring/spans.py"},
    "score mindformers": SCORES | {"scoring/mindformers.py", "scoring/spans.py"},
    "score exact": SCORES | {"scoring/exact.py", "scoring/normalising.py"},
    "score number": SCORES | {"scoring/number.py", "scoring/figures.py"},
    "score regex": SCORES | {"scoring/regex.py", "scoring/normalising.py"},
    "score f1": SCORES | {"scoring/f1.py", "scoring/spans.py"},
    "score rouge": SCORES | {"scoring/rouge.py"},
    "score bleu": SCORES | {"scoring/sentences.py"},
    "score chrf": SCORES | {"scoring/sentences.py"},
    "score wer": SCORES | {"scoring/error_rates.py", "scoring/normalising.py"},
    "score cer": SCORES | {"scoring/error_rates.py", "scoring/normalising.py"},
    "score likelihood": SCORES | {"scoring/likelihood.py"},
    "score perplexity": SCORES | {"scoring/perplexity.py"},
    "score divergence": SCORES | {"scoring/divergence.py"},
    "score file": SCORES | {"scoring/file/scorer.py"},
    "score judge": SCORES | {"scoring/judged/scorer.py", "scoring/replies.py"},
    "score rules_then_judge": SCORES | {"scoring/judged/scorer.py"},
    "score preference": SCORES | {"scoring/judged/scorer.py"},
    "audit": AUDITS,
    "audit salmonn": AUDITS | {"models/salmonn/own_lora.py", "models/salmonn/checkpoint.py"},
    "search": {"stages/search.py", "models/batching.py", "scoring/replies.py"},
    "derive random": DERIVES | {"models/deriving/nulls.py", "models/deriving/modules.py"},
    "derive shuffled": DERIVES | {"models/deriving/shuffling.py", "models/deriving/modules.py"},
    "derive sign": DERIVES | {"models/deriving/nulls.py", "models/deriving/modules.py"},
    "derive sum": DERIVES | {"models/deriving/mixing.py"},
    "judge": {"stages/judge.py", "scoring/replies.py", "models/batching.py"}
    | {f"judging/{name}.py" for name in ("asking", "local", "prompts", "reading")},
    "score lm_eval": SCORES
    | {"scoring/lm_eval/judge.py"}
    | {f"benchmarks/lm_eval/{name}.py" for name in ("harness", "measuring", "tasks")},
    "report": {"stages/report.py"}
    | {
        f"reporting/{name}.py"
        for name in (
            "agreement", "audits", "bootstrap", "choice_chart", "choices", "choosing", "comparison",
            "crossfitting", "drawn", "gathered", "heat_map", "loss", "page", "plots", "retention",
            "scored", "searches", "sections", "shown", "statistics", "tables", "verdicts",
        )
    },
    "page": {"stages/page.py", "benchmarks/audio.py", "benchmarks/conditions.py"}
    | {
        f"reporting/browsing/{name}.py"
        for name in ("clips", "hearing", "index", "scripts", "summary", "texts")
    },
}  # fmt: skip
"""What decides a result -> modules that have to be among those that do."""

NEVER = {
    "errors.py",
    "inferring/claims.py",
    "inferring/worker.py",
    "models/protocol.py",
    "planning/asked.py",
    "planning/checks.py",
    "running/counters.py",
    "running/devices.py",
    "running/memory.py",
    "running/progress.py",
    "running/stopping.py",
    "running/time_limit.py",
    "stages/command.py",
    "storage/hub.py",
    "storage/journal.py",
    "storage/locks.py",
    "storage/records.py",
}
"""Modules that stages import and whose edits must not start a GPU again."""
