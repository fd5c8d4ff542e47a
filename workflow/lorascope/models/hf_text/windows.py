"""A long text, cut into windows of what a model reads at once."""

from collections.abc import Iterator, Sequence


def windows(
    tokens: Sequence[int], prefix: int, window: int, context: int
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Yield (context, predicted): every token is predicted once, after those before it.

    The first token follows ``prefix``; the first of each later window at least ``context`` tokens
    of the text, more where a last window has room for them. The model reads at most ``window``
    tokens of a pair, as the last one is predicted alone. As lm-evaluation-harness cuts rolling
    windows (its get_rolling_token_windows, made disjoint by make_disjoint_window).
    """
    yield [prefix], tokens[:window]
    done = window
    while done < len(tokens):
        end = min(done + window - context + 1, len(tokens))
        yield tokens[end - window - 1 : done], tokens[done:end]
        done = end
