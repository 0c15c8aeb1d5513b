//! Word vectors, word2vec (Mikolov et al. 2013) and GloVe (Pennington et al. 2014): a table and its
//! words.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `ids` | N | i64 | rows of the table, 0 ≤ id < V |
//! | out `vectors` | N×D | f32 | one vector per id |
//!
//! The words travel as a file with one word a line, in the order of the rows. The line of a word that
//! is not UTF-8, or has a line break in it, is empty: no text leads to such a word, and its row stays
//! where it is.

use bevel_manifest::{Decode, EmbedSpec, Input, Pooling, Task, WordsInput};
use bevel_onnx::{DType, Dim, Graph, Tensor};
use bevel_weights::Words;

use crate::arch::{Built, BundleFile, Content, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    // Known by the format of the file.
    marks: &[],
    recognises: |source| source.checkpoint.words().is_some(),
    build,
};

const NAME: &str = "vectors";

const VOCABULARY: &str = "vocabulary.txt";

/// Bounds what one text makes the device hold: N×D f32.
const MAX_WORDS: usize = 4096;

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let task = options.task_of(NAME, &[Task::Embed, Task::Tensors])?;
    let words = source.checkpoint.words().ok_or_else(|| {
        Error::Request(format!(
            "{} is not a file of word vectors, which architecture `{NAME}` needs",
            source.checkpoint.path().display()
        ))
    })?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let graph = graph(&weights)?;
    let unused = weights.finish(|_| false)?;

    let (vocabulary, silent) = vocabulary(words);
    let mut notes = Vec::new();
    if words.repeated() > 0 {
        notes.push(format!(
            "{} rows are left out: an earlier one has the same word",
            words.repeated()
        ));
    }
    if silent > 0 {
        notes.push(format!(
            "{silent} words are not UTF-8 or have a line break: their rows stay, no text leads there"
        ));
    }
    let (input, decode) = match task {
        Task::Tensors => (Input::Tensors, Decode::Tensors),
        _ => (
            Input::Words(WordsInput {
                vocabulary: VOCABULARY.into(),
                max_words: MAX_WORDS,
            }),
            // As sentence-transformers pools word embeddings.
            Decode::Embed(EmbedSpec {
                pooling: Pooling::Mean,
                normalize: false,
            }),
        ),
    };
    Ok(Built {
        graphs: model(graph),
        task,
        input,
        decode,
        files: vec![BundleFile {
            name: VOCABULARY.into(),
            content: Content::Text(vocabulary),
        }],
        unused: unused.0,
        notes,
    })
}

fn graph(weights: &Weights<'_>) -> Result<Graph, Error> {
    let shape = weights.shape("vectors").unwrap_or_default();
    let table = weights.take("vectors", shape)?;
    let columns = shape.last().copied().unwrap_or_default();
    let mut graph = Graph::new(NAME);
    let ids = graph.input("ids", DType::I64, [Dim::named("n")]);
    let table = graph.initializer(Tensor {
        name: "table".into(),
        ..table
    });
    let rows = graph.node("Gather", &[&table, &ids], []);
    let dims = [Dim::named("n"), Dim::Fixed(columns)];
    graph.output(&rows, "vectors", DType::F32, dims);
    Ok(graph)
}

/// One word a line, and how many lines are empty.
fn vocabulary(words: &Words) -> (String, usize) {
    let mut text = String::new();
    let mut silent = 0;
    for word in words.iter() {
        match std::str::from_utf8(word) {
            Ok(word) if !word.contains('\n') => text.push_str(word),
            _ => silent += 1,
        }
        text.push('\n');
    }
    (text, silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_lines_are_the_same_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vectors.bin");
        let out = dir.path().join("out.bevel");
        // The third word is cut within a character, the fourth is there already.
        let words: [&[u8]; 5] = [b"the", b"caf\xc3\xa9", b"caf\xc3", b"the", b"x"];
        let mut bytes = b"5 2\n".to_vec();
        for (row, word) in (0u8..).zip(words) {
            bytes.extend_from_slice(word);
            bytes.push(b' ');
            for column in [0.0, 0.5] {
                bytes.extend((f32::from(row) + column).to_le_bytes());
            }
        }
        std::fs::write(&file, bytes).unwrap();
        let options = Options::default();
        let report = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap();
        assert_eq!((report.family.as_str(), report.task), (NAME, Task::Embed));
        assert!(report.notes.iter().any(|n| n.starts_with("1 rows")));
        assert!(report.notes.iter().any(|n| n.starts_with("1 words")));
        let lines = std::fs::read_to_string(out.join(VOCABULARY)).unwrap();
        assert_eq!(lines, "the\ncafé\n\nx\n");
        let graph = Graph::load(&out.join("model.onnx")).unwrap();
        let table = graph.find_initializer("table").unwrap();
        assert_eq!(table.dims, [4, 2]);
        let expected = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 4.5];
        assert_eq!(table.as_f32().unwrap().as_ref(), expected);

        let options = Options {
            task: Some(Task::Classify),
            ..Options::default()
        };
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("embed, tensors"), "{error}");
    }
}
