"""The byte-level BPE tokenizer, trained on captions."""

from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

MAX_TOKENS = 64
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(captions: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Learn merges from captions. Byte-level: any text can be encoded; case and Unicode form do not matter."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        captions,
        trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            min_frequency=3,
            show_progress=False,
        ),
    )
    cls_id, sep_id = SPECIAL_TOKENS.index("[CLS]"), SPECIAL_TOKENS.index("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls_id), ("[SEP]", sep_id)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=MAX_TOKENS,
        padding_side="right",
    )


def encode(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], merge_dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask `[texts, tokens]`. `merge_dropout` skips merges at random (BPE dropout).

    With it the text tower sees words in varying pieces, and can make something of words that it never saw whole.
    """
    model = tokenizer.backend_tokenizer.model
    model.dropout = merge_dropout or None
    try:
        batch = tokenizer(list(texts), padding=True, truncation=True, return_token_type_ids=False)
    finally:
        model.dropout = None
    return torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
