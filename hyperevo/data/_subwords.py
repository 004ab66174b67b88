"""Sub-words: pieces of words that sentences are written in, learned from the training sentences by sentencepiece (byte
pair encoding; Sennrich, Haddow & Birch 2016; Kudo & Richardson 2018)."""

import hashlib
import io
from collections.abc import Iterable, Sequence

from hyperevo.errors import UserError, shortened

PADDING, BEGIN, END, UNKNOWN = 0, 1, 2, 3
"""Symbols that stand before all pieces: nothing, the beginning and the end of a sentence, and what has no piece."""

WANTED = "the task translation wants sentencepiece, sacrebleu and sacremoses: pip install 'hyperevo[translation]'"
"""Message where one of its libraries is missing."""


class Subwords:
    """Sentences as symbols, and back; raises UserError for a model that sentencepiece did not write."""

    def __init__(self, model: bytes):
        self.model = model
        self.checksum = hashlib.sha256(model).hexdigest()
        try:
            self._processor = _sentencepiece().SentencePieceProcessor(model_proto=model)
        except (RuntimeError, OSError) as error:
            raise UserError(f"the sub-words' model is damaged: {shortened(error)}") from error

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Symbols of sentences, without beginning and end."""
        return [list(symbols) for symbols in self._processor.encode(list(sentences))]

    def decode(self, symbols: Sequence[Sequence[int]]) -> list[str]:
        """Sentences of symbols; the symbols that are no pieces are left out."""
        own = [[int(symbol) for symbol in row if symbol >= UNKNOWN] for row in symbols]
        return [str(sentence) for sentence in self._processor.decode(own)]

    def pieces(self, symbols: Sequence[int]) -> list[str]:
        """Pieces as people read them; a space before a word stays one."""
        return [self._processor.id_to_piece(int(symbol)).replace("▁", " ") for symbol in symbols]


def learned_subwords(sentences: Iterable[str], symbols: int) -> Subwords:
    """Sub-words of sentences, at most so many symbols; the same for the same sentences. Raises UserError where that is
    too few or too many for them."""
    written = io.BytesIO()
    try:
        _sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=written, vocab_size=symbols, model_type="bpe",
            character_coverage=1.0, normalization_rule_name="identity", pad_id=PADDING, bos_id=BEGIN, eos_id=END,
            unk_id=UNKNOWN, num_threads=1, minloglevel=2)
    except (RuntimeError, OSError) as error:
        raise UserError(f"task.symbols: {symbols:,} sub-words cannot be learned from these sentences: "
                        f"{shortened(error)}") from error
    return Subwords(written.getvalue())


def _sentencepiece():
    try:
        import sentencepiece
    except ImportError as error:
        raise UserError(WANTED) from error
    return sentencepiece
