"""BLEU and chrF, as sacrebleu computes them (Post 2018)."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from hyperevo.data._subwords import WANTED
from hyperevo.errors import UserError


@dataclass(frozen=True)
class Scores:
    """BLEU and chrF of a whole test, from 0 to 100, and what sacrebleu says of how they were computed."""

    bleu: float
    chrf: float
    signature: str
    chrf_signature: str


def scores_of(written: Sequence[str], references: Sequence[str], lower_tokens: str = "") -> Scores:
    """Scores of sentences against one reference each: of sentences as they are (cased, detokenised, tokens by
    sacrebleu's 13a); or, with the language of `lower_tokens`, of lower-cased tokens by Moses's rules, as older papers
    give them. Raises UserError where sacrebleu is missing."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise UserError(WANTED) from error
    if lower_tokens:
        written, references = (_lower_tokens(own, lower_tokens) for own in (written, references))
    bleu, chrf = BLEU(tokenize="none" if lower_tokens else "13a", force=True), CHRF()
    found = bleu.corpus_score(list(written), [list(references)]), chrf.corpus_score(list(written), [list(references)])
    return Scores(found[0].score, found[1].score, str(bleu.get_signature()), str(chrf.get_signature()))


def _lower_tokens(sentences: Sequence[str], language: str) -> list[str]:
    try:
        from sacremoses import MosesTokenizer
    except ImportError as error:
        raise UserError(WANTED) from error
    tokenizer = MosesTokenizer(lang=language)
    return [html.unescape(tokenizer.tokenize(own, return_str=True)).lower() for own in sentences]
