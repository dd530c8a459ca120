"""Positions of slots under every kind of tokenizer, each built here; Qwen's own vocabulary where it is installed."""

import pytest
from make_random_qwen3 import qwen_ranks, qwen_tokenizer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from llm_probe.models.reference.prompts import QWEN_PRETOKENIZATION
from llm_probe.questions.domains import DOMAINS, Domain, modular
from llm_probe.questions.prompts import Prompt, question, statement
from llm_probe.questions.tokens import Encoded, buckets, encode
from toy.run.errors import InputError

CHAT = (
    "{{ bos_token }}{% for message in messages %}<user>\n{{ message['content'] | trim }}</user>\n{% endfor %}"
    "{% if add_generation_prompt %}<model>\n{% endif %}"
)
DAYS, KANJI = DOMAINS["days"], Domain("kanji", ("日", "月", "火"), questions={"plus": "{item}+{offset}="})


def byte_level(*, bos: bool = False, trim_offsets: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE that knows `Friday` (also after a space) and splits every other day and number."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PRETOKENIZATION), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["Friday Friday days"] * 10, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", chat_template=CHAT if bos else None)


def sentence_piece() -> PreTrainedTokenizerFast:
    """A BPE that writes spaces as `▁` and puts one in front of a text, as SentencePiece does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "<s>"], show_progress=False)
    alphabet = " ".join(["Friday", *DAYS.items, "A + 1234567890 days = is after plus letters"])
    tokenizer.train_from_iterator([alphabet] * 10, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


def word_piece() -> PreTrainedTokenizerFast:
    """BERT's: lower case, `##` inside words, [CLS] in front and [SEP] behind."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "friday", "thurs", "##day", "is", "+", "1", "##2", "days", "=", "she"]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def tokens_at(tokenizer: PreTrainedTokenizerFast, prompt: Prompt, **options: bool) -> tuple[Encoded, dict[str, str]]:
    """The encoded prompt and the token at each position."""
    encoded = encode(tokenizer, [prompt], **options)[0]
    tokens = tokenizer.convert_ids_to_tokens(list(encoded.ids))
    return encoded, {slot: tokens[index] for slot, index in encoded.positions.items()}


@pytest.mark.parametrize("trim_offsets", [False, True])
def test_split_names_and_numbers_are_read_at_their_last_token(trim_offsets: bool) -> None:
    tokenizer = byte_level(trim_offsets=trim_offsets)
    encoded, tokens = tokens_at(tokenizer, question(DAYS, "after", 1, 123))
    assert tokenizer.convert_ids_to_tokens(list(encoded.ids))[:3] == ["1", "2", "3"]
    assert encoded.positions["offset"] == 2
    assert tokens["item"] == "day"  # of "Tuesday"
    assert encoded.positions["last"] == len(encoded.ids) - 1
    _, whole = tokens_at(tokenizer, question(DAYS, "after", 4, 5))
    assert whole["item"] == "ĠFriday"


def test_a_prompt_that_ends_in_a_space_is_read_at_the_space() -> None:
    encoded, tokens = tokens_at(byte_level(), question(DAYS, "published", 4, 10))
    assert tokens == {"last": "Ġ", "item": "Friday", "offset": "0"}
    assert encoded.positions["item"] == 0


@pytest.mark.parametrize("trim_offsets", [False, True])
def test_a_slot_that_ends_in_a_space_is_read_at_it(trim_offsets: bool) -> None:
    prompt = Prompt("1 + 2 = ", {"item": (0, 8), "offset": (2, 6)}, "given", 0, 0, 0, 0, None)
    _, tokens = tokens_at(byte_level(trim_offsets=trim_offsets), prompt)
    assert (tokens["item"], tokens["offset"]) == ("Ġ", "2")


def test_equal_values_are_told_apart_by_place() -> None:
    encoded, tokens = tokens_at(byte_level(), question(modular("add", 11), "published", 11, 11))
    # 1 1 Ġ+ Ġ 1 1 Ġ m o d Ġ 1 1 Ġ =, some of which are merged: only the order is fixed.
    assert (tokens["item"], tokens["offset"], tokens["modulus"]) == ("1", "1", "1")
    assert encoded.positions["item"] == 1 < encoded.positions["offset"] < encoded.positions["modulus"]


def test_bos_shifts_every_position() -> None:
    prompt = question(DAYS, "published", 4, 10)
    plain, begun = encode(byte_level(), [prompt])[0], encode(byte_level(bos=True), [prompt])[0]
    assert begun.ids == (0, *plain.ids)
    assert begun.positions == {slot: index + 1 for slot, index in plain.positions.items()}


def test_a_character_of_several_bytes_is_read_at_its_last_byte() -> None:
    encoded, _ = tokens_at(byte_level(), question(KANJI, "plus", 1, 5))
    assert len(encoded.ids) == 3 + 3  # three bytes of 月, then + 5 =
    assert encoded.positions == {"last": 5, "item": 2, "offset": 4}


def test_sentence_piece() -> None:
    tokenizer = sentence_piece()
    _, tokens = tokens_at(tokenizer, question(DAYS, "after", 4, 12))
    assert "day" in tokens["item"]  # this one has learnt to merge the space behind a day, too
    assert "2" in tokens["offset"]
    # The piece put in front of the text claims its first character, too.
    encoded, tokens = tokens_at(tokenizer, question(DOMAINS["alphabet"], "published", 0, 3))
    assert "A" in tokens["item"]
    assert encoded.ids[0] == 1


def test_word_piece_ends_before_its_closing_token() -> None:
    tokenizer = word_piece()
    domain = Domain("two", ("Friday", "Thursday", "Moonday"), questions={"plus": "{item} + {offset} days is"})
    encoded, tokens = tokens_at(tokenizer, question(domain, "plus", 1, 12))
    assert tokenizer.convert_ids_to_tokens(list(encoded.ids)) == [
        "[CLS]", "thurs", "##day", "+", "1", "##2", "days", "is", "[SEP]",
    ]  # fmt: skip
    assert tokens == {"last": "is", "item": "##day", "offset": "##2"}


def test_an_item_the_tokenizer_does_not_know_is_refused() -> None:
    domain = Domain("two", ("Friday", "Thursday", "Moonday"), statements={"bare": "{item} is"})
    with pytest.raises(InputError, match=r"cannot place the item 'Moonday' .*\[UNK\]"):
        encode(word_piece(), [statement(domain, "bare", 2)])


def test_an_item_that_is_normalised_away_is_refused() -> None:
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("Friday", "")
    with pytest.raises(InputError, match="cannot place the item 'Friday'"):
        encode(tokenizer, [question(DAYS, "published", 4, 1)])


def test_chat_finds_the_slots_inside_the_message() -> None:
    tokenizer = byte_level(bos=True)
    prompt = question(DAYS, "published", 4, 12)  # its final space is trimmed by the template
    encoded, tokens = tokens_at(tokenizer, prompt, chat=True)
    assert tokenizer.decode(list(encoded.ids)) == "<s><user>\nFriday + 12 days =</user>\n<model>\n"
    assert tokens["item"] == "Friday"
    assert tokens["offset"] == "2"
    assert encoded.positions["last"] == len(encoded.ids) - 1
    assert encoded.ids.count(0) == 1  # the template writes BOS, the tokenizer adds no second


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('roles must alternate') }}", "{% if %}", "{{ missing.role.x }}"]
)
def test_a_chat_template_that_cannot_be_used(template: str) -> None:
    tokenizer = byte_level(bos=True)
    tokenizer.chat_template = template
    with pytest.raises(InputError, match="takes no message of a user alone"):
        encode(tokenizer, [question(DAYS, "published", 4, 12)], chat=True)


def test_chat_needs_a_template() -> None:
    with pytest.raises(InputError, match="no chat template"):
        encode(byte_level(), [question(DAYS, "published", 4, 12)], chat=True)


def test_a_template_that_changes_the_message_is_refused() -> None:
    tokenizer = byte_level(bos=True)
    tokenizer.chat_template = "{{ messages[0]['content'] | upper }}"
    with pytest.raises(InputError, match="unchanged"):
        encode(tokenizer, [question(DAYS, "published", 4, 12)], chat=True)


def test_encode_of_nothing() -> None:
    assert encode(byte_level(), []) == []


def test_buckets_are_equal_in_length_and_longest_first() -> None:
    assert buckets([3, 5, 3, 3, 9, 5], batch_tokens=6) == [[4], [1], [5], [0, 2], [3]]
    assert buckets([3, 5, 3], batch_tokens=100) == [[1], [0, 2]]
    assert buckets([], batch_tokens=6) == []


@pytest.fixture(scope="module")
def qwen() -> PreTrainedTokenizerFast:
    if qwen_ranks() is None:
        pytest.skip("Qwen's vocabulary is not installed (pip install dashscope tiktoken)")
    return qwen_tokenizer()


def test_qwen_ids_are_the_released_ones(qwen: PreTrainedTokenizerFast) -> None:
    assert qwen("Hello")["input_ids"] == [9707]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert qwen.convert_tokens_to_ids(special) == [151643, 151644, 151645]
    for word in (" Thursday", " September", "Monday"):
        assert len(qwen(word)["input_ids"]) == 1


def test_qwen_positions(qwen: PreTrainedTokenizerFast) -> None:
    encoded, tokens = tokens_at(qwen, question(DAYS, "after", 3, 123))
    assert qwen.convert_ids_to_tokens(list(encoded.ids)) == ["1", "2", "3", "Ġdays", "Ġafter", "ĠThursday", "Ġis"]
    assert encoded.positions == {"offset": 2, "item": 5, "last": 6}
    assert tokens["item"] == "ĠThursday"
    # The tokens of the published prompts: seven plus two is read at " =", a calendar question at the lone space.
    encoded, _ = tokens_at(qwen, question(modular("add", 7, operands=range(10)), "published", 2, 3))
    assert qwen.convert_ids_to_tokens(list(encoded.ids)) == ["2", "Ġ+", "Ġ", "3", "Ġmod", "Ġ", "7", "Ġ="]
    assert encoded.positions == {"item": 0, "offset": 3, "modulus": 6, "last": 7}
    _, tokens = tokens_at(qwen, question(DAYS, "published", 0, 3))
    assert tokens["last"] == "Ġ"


def test_qwen_chat(qwen: PreTrainedTokenizerFast) -> None:
    encoded, tokens = tokens_at(qwen, question(DAYS, "after", 3, 12), chat=True)
    assert encoded.ids[0] == 151644
    assert tokens == {"last": "Ċ", "offset": "2", "item": "ĠThursday"}
