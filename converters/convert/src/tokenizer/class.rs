//! The classes of tokenizers that can be built, as data.

use super::ends::Ends;

/// A class of transformers and those that differ from it by name.
pub(super) struct Class {
    /// For people.
    pub name: &'static str,
    /// `tokenizer_class` without `Fast`.
    pub names: &'static [&'static str],
    /// `model_type` of checkpoints that name no class.
    pub model_types: &'static [&'static str],
    pub model: Model,
    pub specials: &'static [Special],
    pub ends: Ends,
}

/// A special token that the class has where the checkpoint names none.
pub(super) struct Special {
    /// Its key in side files.
    pub key: &'static str,
    pub token: &'static str,
    /// Whether it takes the space before it along.
    pub left: bool,
}

const fn special(key: &'static str, token: &'static str) -> Special {
    Special {
        key,
        token,
        left: false,
    }
}

/// A mask that stands for a word and the space before it, as in published tokenizers of these models
/// and in transformers up to 4; RoBERTa's class in transformers 5.23 leaves the space unless a side
/// file says otherwise.
const MASK: Special = Special {
    key: "mask_token",
    token: "<mask>",
    left: true,
};

/// How words become tokens.
pub(super) enum Model {
    /// Wu et al. 2016, arXiv:1609.08144, after BERT's own splitting.
    WordPiece,
    /// Byte-pair encoding over bytes (Radford et al. 2019).
    ByteBpe(ByteBpe),
}

/// What byte-level classes do before merging.
pub(super) struct ByteBpe {
    pub normal_form: NormalForm,
    /// Splits text before bytes are mapped; GPT-2's own pattern where none is given.
    pub split: Option<Split>,
    /// Ends the last piece of each word.
    pub word_end: &'static str,
    /// Whether a byte that the vocabulary lacks becomes the unknown token.
    pub unknown: bool,
}

pub(super) enum NormalForm {
    AsIs,
    /// Unicode's NFC.
    Composed,
    /// NFC, runs of space as one, lower case.
    Lower,
}

/// A regular expression of Oniguruma, and what is done where it matches.
pub(super) struct Split {
    pub pattern: &'static str,
    /// Whether only matches are kept; else what lies between them stays as well.
    pub only_matches: bool,
    /// Whether the pieces go through GPT-2's pattern too.
    pub again: bool,
}

const PLAIN: ByteBpe = ByteBpe {
    normal_form: NormalForm::AsIs,
    split: None,
    word_end: "",
    unknown: false,
};

impl Class {
    pub fn vocabulary_file(&self) -> &'static str {
        match self.model {
            Model::WordPiece => "vocab.txt",
            Model::ByteBpe(_) => "vocab.json",
        }
    }
}

pub(super) static CLASSES: [Class; 7] = [
    Class {
        name: "BertTokenizer",
        names: &["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"],
        model_types: &["bert", "distilbert", "electra"],
        model: Model::WordPiece,
        specials: &[
            special("unk_token", "[UNK]"),
            special("sep_token", "[SEP]"),
            special("pad_token", "[PAD]"),
            special("cls_token", "[CLS]"),
            special("mask_token", "[MASK]"),
        ],
        ends: Ends::Segments,
    },
    Class {
        name: "MPNetTokenizer",
        names: &["MPNetTokenizer"],
        model_types: &["mpnet"],
        model: Model::WordPiece,
        specials: &[
            special("bos_token", "<s>"),
            special("eos_token", "</s>"),
            special("unk_token", "[UNK]"),
            special("sep_token", "</s>"),
            special("pad_token", "<pad>"),
            special("cls_token", "<s>"),
            MASK,
        ],
        ends: Ends::Roberta {
            first: "cls_token",
            last: "sep_token",
            trim_offsets: true,
        },
    },
    Class {
        name: "RobertaTokenizer",
        names: &["RobertaTokenizer", "LongformerTokenizer"],
        model_types: &["roberta", "longformer"],
        model: Model::ByteBpe(PLAIN),
        specials: &[
            special("bos_token", "<s>"),
            special("eos_token", "</s>"),
            special("unk_token", "<unk>"),
            special("sep_token", "</s>"),
            special("pad_token", "<pad>"),
            special("cls_token", "<s>"),
            MASK,
        ],
        ends: Ends::Roberta {
            first: "cls_token",
            last: "sep_token",
            trim_offsets: true,
        },
    },
    Class {
        name: "GPT2Tokenizer",
        names: &["GPT2Tokenizer"],
        model_types: &["gpt2"],
        model: Model::ByteBpe(PLAIN),
        specials: &[
            special("unk_token", "<|endoftext|>"),
            special("bos_token", "<|endoftext|>"),
            special("eos_token", "<|endoftext|>"),
        ],
        ends: Ends::Flags,
    },
    Class {
        name: "Qwen2Tokenizer",
        names: &["Qwen2Tokenizer"],
        model_types: &["qwen2"],
        model: Model::ByteBpe(ByteBpe {
            normal_form: NormalForm::Composed,
            split: Some(Split {
                pattern: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
                only_matches: false,
                again: false,
            }),
            ..PLAIN
        }),
        specials: &[
            special("unk_token", "<|endoftext|>"),
            special("eos_token", "<|endoftext|>"),
            special("pad_token", "<|endoftext|>"),
        ],
        ends: Ends::Flags,
    },
    Class {
        name: "CLIPTokenizer",
        names: &["CLIPTokenizer"],
        model_types: &["clip", "clip_text_model"],
        model: Model::ByteBpe(ByteBpe {
            normal_form: NormalForm::Lower,
            split: Some(Split {
                pattern: r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
                only_matches: true,
                again: true,
            }),
            word_end: "</w>",
            unknown: true,
        }),
        specials: &[
            special("unk_token", "<|endoftext|>"),
            special("bos_token", "<|startoftext|>"),
            special("eos_token", "<|endoftext|>"),
            special("pad_token", "<|endoftext|>"),
        ],
        ends: Ends::Roberta {
            first: "bos_token",
            last: "eos_token",
            trim_offsets: false,
        },
    },
    Class {
        name: "WhisperTokenizer",
        names: &["WhisperTokenizer"],
        model_types: &["whisper"],
        model: Model::ByteBpe(PLAIN),
        specials: &[
            special("unk_token", "<|endoftext|>"),
            special("bos_token", "<|endoftext|>"),
            special("eos_token", "<|endoftext|>"),
        ],
        ends: Ends::Transcript,
    },
];
