use bevel_manifest::TextInput;
use tokenizers::Encoding;

use crate::error::{Error, Result};
use crate::pipeline::Slots;

/// The ids of one row, and for each the number of the text it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub ids: &'a [u32],
    pub type_ids: &'a [u32],
}

impl<'a> Row<'a> {
    pub fn of(encoding: &'a Encoding) -> Self {
        Self {
            ids: encoding.get_ids(),
            type_ids: encoding.get_type_ids(),
        }
    }
}

/// Writes rows of tokens as `input_ids`, `attention_mask` and, where asked for, `token_type_ids`:
/// N×T, i64, T the longest row.
pub(crate) struct Rows {
    pad_id: i64,
    /// Whether `token_type_ids` is written too.
    pub type_ids: bool,
}

impl Rows {
    pub fn new(spec: &TextInput) -> Self {
        Self {
            pad_id: i64::from(spec.pad_id),
            type_ids: false,
        }
    }

    /// Returns [N, T].
    ///
    /// # Errors
    /// [`Error::Input`] for a row of nothing, which no model has an answer to.
    pub fn write(&self, rows: &[Row<'_>], slots: &mut Slots) -> Result<[usize; 2]> {
        if rows.iter().any(|row| row.ids.is_empty()) {
            return Err(Error::Input(
                "the text is empty, and this model's tokenizer adds nothing to it".into(),
            ));
        }
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(1);
        let shape = [rows.len(), longest];
        let ids = slots.i64("input_ids", &shape);
        fill(ids, rows, longest, self.pad_id, |row| row.ids);
        let mask = slots.i64("attention_mask", &shape);
        for (values, row) in mask.chunks_exact_mut(longest).zip(rows) {
            let (text, rest) = values.split_at_mut(row.ids.len());
            text.fill(1);
            rest.fill(0);
        }
        if self.type_ids {
            let types = slots.i64("token_type_ids", &shape);
            fill(types, rows, longest, 0, |row| row.type_ids);
        }
        Ok(shape)
    }
}

fn fill<'a>(
    tensor: &mut [i64],
    rows: &[Row<'a>],
    longest: usize,
    pad: i64,
    values: impl Fn(&Row<'a>) -> &'a [u32],
) {
    for (place, row) in tensor.chunks_exact_mut(longest).zip(rows) {
        let values = values(row);
        let (text, rest) = place.split_at_mut(values.len());
        for (id, value) in text.iter_mut().zip(values) {
            *id = i64::from(*value);
        }
        rest.fill(pad);
    }
}
