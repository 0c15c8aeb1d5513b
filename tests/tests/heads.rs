//! Text to labels, entities and answers, against transformers' pipelines. See `tests/golden/heads/make.py`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel::text::{Classify, Entity, Label, Question, Span};
use bevel::{AnswerQuestion, ErrorKind, Options, Pipeline, Tag, Task};
use bevel_tests::{Tolerance, arg, bevel, bevel_json, root, success};
use serde_json::Value;
use tempfile::TempDir;

const FAMILIES: [&str; 2] = ["bert", "roberta"];

/// What transformers answers for a task.
fn expected(family: &str, task: &str) -> Vec<Value> {
    let path = root().join(format!("tests/golden/heads/{family}/expected.json"));
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all[task].as_array().unwrap().clone()
}

/// A bundle `case.bevel` of the checkpoint with the head for a task.
fn converted(family: &str, task: &str) -> TempDir {
    let out = tempfile::tempdir().unwrap();
    let checkpoint = root().join("tests/golden/heads").join(family);
    let bundle = out.path().join("case.bevel");
    let arguments = ["convert", arg(&checkpoint), "-o", arg(&bundle)];
    let more = ["--task", task, "--quantize", "none"];
    success(&bevel().args(arguments).args(more).output().unwrap());
    out
}

fn pipeline<T: Task>(bundle: &TempDir) -> Pipeline<T> {
    Pipeline::open(&bundle.path().join("case.bevel"), &Options::default()).unwrap()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

fn number(row: &Value, key: &str) -> usize {
    row[key].as_u64().unwrap() as usize
}

fn score(name: &str, found: f32, row: &Value) {
    let reference = row["score"].as_f64().unwrap();
    Tolerance::Close.check(name, &[f64::from(found)], &[reference]);
}

fn same_label(name: &str, found: &Label, row: &Value) {
    assert_eq!(found.label, text(row, "label"), "{name}");
    score(name, found.score, row);
}

fn same_entity(name: &str, found: &Entity, row: &Value) {
    let place = (found.start, found.end);
    assert_eq!(found.label, text(row, "label"), "{name}");
    assert_eq!(found.text, text(row, "text"), "{name}");
    assert_eq!(place, (number(row, "start"), number(row, "end")), "{name}");
    score(name, found.score, row);
}

fn same_span(name: &str, found: &Span, row: &Value) {
    let place = (found.start, found.end);
    assert_eq!(found.answer, text(row, "answer"), "{name}");
    assert_eq!(place, (number(row, "start"), number(row, "end")), "{name}");
    score(name, found.score, row);
}

#[test]
fn labels_are_those_of_transformers() {
    for family in FAMILIES {
        let bundle = converted(family, "classify");
        let mut classify = pipeline::<Classify>(&bundle);
        // 48 tokens of many are read, by transformers too.
        let rows = expected(family, "classify");
        let texts: Vec<_> = rows.iter().map(|row| text(row, "text")).collect();
        let answers = classify.run(&texts).unwrap();
        for (row, answer) in rows.iter().zip(&answers) {
            let labels = row["labels"].as_array().unwrap();
            assert_eq!(answer.labels.len(), labels.len());
            for (found, label) in answer.labels.iter().zip(labels) {
                same_label(text(row, "text"), found, label);
            }
        }
    }
}

#[test]
fn entities_are_those_of_transformers() {
    for family in FAMILIES {
        let bundle = converted(family, "tag");
        let mut tag = pipeline::<Tag>(&bundle);
        let rows = expected(family, "tag");
        let texts: Vec<_> = rows.iter().map(|row| text(row, "text")).collect();
        // Alone, and in one batch with windows of each other.
        let alone: Vec<_> = texts
            .iter()
            .map(|t| tag.run(&[t]).unwrap().remove(0))
            .collect();
        for answers in [alone, tag.run(&texts).unwrap()] {
            for (row, answer) in rows.iter().zip(&answers) {
                let entities = row["entities"].as_array().unwrap();
                let name = text(row, "text");
                assert_eq!(answer.entities.len(), entities.len(), "{name}: {answer:?}");
                for (found, entity) in answer.entities.iter().zip(entities) {
                    same_entity(name, found, entity);
                }
            }
        }
    }
}

#[test]
fn answers_are_those_of_transformers() {
    for family in FAMILIES {
        let bundle = converted(family, "answer");
        let mut answer = pipeline::<AnswerQuestion>(&bundle);
        let rows = expected(family, "answer");
        let question = |row| Question {
            question: text(row, "question"),
            context: text(row, "context"),
        };
        let questions: Vec<_> = rows.iter().map(question).collect();
        for (row, found) in rows.iter().zip(answer.run(&questions).unwrap()) {
            same_span(text(row, "question"), &found, row);
        }
    }
}

#[test]
fn what_has_no_answer_is_an_error_of_the_input() {
    struct Case {
        name: &'static str,
        question: &'static str,
        context: &'static str,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "no question",
            question: " ",
            context: "The kettle is on.",
            says: "the question is empty",
        },
        Case {
            name: "no context",
            question: "Where?",
            context: "\n",
            says: "the context is empty",
        },
        Case {
            name: "a question that fills the window",
            question: "where where where where where where where where where where where where where",
            context: "The kettle is on.",
            says: "shorten it",
        },
    ];
    let bundle = converted("bert", "answer");
    let mut answer = pipeline::<AnswerQuestion>(&bundle);
    for case in cases {
        let (question, context) = (case.question, case.context);
        let error = answer.run(&[Question { question, context }]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{}", case.name);
        assert!(
            error.to_string().contains(case.says),
            "{}: {error}",
            case.name
        );
    }
}

#[test]
fn a_text_of_100_000_words_is_read_to_its_end() {
    let bundle = converted("bert", "tag");
    let mut tag = pipeline::<Tag>(&bundle);
    let sentence = "The kettle is on the table. ";
    let long = sentence.repeat(100_000 / 6);
    let found = tag.run(&[long.as_str()]).unwrap().remove(0).entities;
    let last = found.last().unwrap();
    assert!(last.end > long.len() - sentence.len(), "{last:?}");
    assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
}

#[test]
fn json_has_the_documented_keys() {
    let bundle = converted("bert", "tag");
    let path = bundle.path().join("case.bevel");
    let lines = bevel_json(&[
        "run",
        arg(&path),
        "The kettle is on the table.",
        "",
        "--json",
    ]);
    let entity = &lines[0]["entities"][0];
    let keys: Vec<_> = entity.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["end", "label", "score", "start", "text"]);
    assert_eq!(lines[0]["task"], "tag");
    assert_eq!(lines[1]["entities"], Value::Array(Vec::new()));

    let bundle = converted("bert", "answer");
    let path = bundle.path().join("case.bevel");
    let rows = expected("bert", "answer");
    let file = bundle.path().join("questions.jsonl");
    let questions = rows.iter().map(|row| row.to_string() + "\n\n");
    std::fs::write(&file, questions.collect::<String>()).unwrap();
    let one = r#"{"question": "Where is the kettle?", "context": "The kettle is on the table."}"#;
    let lines = bevel_json(&["run", arg(&path), arg(&file), one, "--json"]);
    assert_eq!(lines.len(), rows.len() + 1);
    for (line, row) in lines.iter().zip(rows.iter().chain([&rows[0]])) {
        assert_eq!(line["task"], "answer");
        assert_eq!(line["input"], row["question"]);
        for key in ["answer", "start", "end"] {
            assert_eq!(line[key], row[key], "{row}");
        }
        assert!(line["score"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn what_is_no_question_says_what_is_expected() {
    let bundle = converted("bert", "answer");
    let path = bundle.path().join("case.bevel");
    for input in [
        "where is it?",
        r#"{"question": "Where?"}"#,
        "no/such/file.jsonl",
    ] {
        let output = bevel().args(["run", arg(&path), input]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{input}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.contains(r#"{"question": "…", "context": "…"}"#),
            "{error}"
        );
    }
}
