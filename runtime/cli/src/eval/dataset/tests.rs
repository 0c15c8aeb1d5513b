#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use bevel::Bundle;

use super::*;
use crate::failure;

const PICTURE: &str = "kind = \"image\"\nwidth = 8\nheight = 8\nresize = { mode = \"stretch\" }\n\
                       interpolation = \"bilinear\"\nchannels = \"rgb\"";
const TEXT: &str = "kind = \"text\"\ntokenizer = \"labels.txt\"\nmax_tokens = 8\npad_id = 0";
const SOUND: &str = "kind = \"audio\"\nsample_rate_hz = 16000\nmax_piece_s = 20.0";
const CLASSES: &str = "labels = \"labels.txt\"\nactivation = \"softmax\"\ntop_k = 1";
const BOXES: &str = "head = { layout = \"yolo\" }\nlabels = \"labels.txt\"\nmin_score = 0.3\niou = 0.5\n\
                     max_boxes = 100";
const POINTS: &str = "keypoints = 2\ndims = 3\n[decode.boxes]\n";
const HEARD: &str = "model = \"moonshine\"\ntokenizer = \"labels.txt\"\nstart_id = 1\nend_id = 2\n\
                     max_tokens_per_s = 6.5\nlanguage = \"en\"";

/// A model of the classes cat, big dog and bird that is never run.
fn bundle(folder: &Path, task: &str) -> Bundle {
    let points = format!("{POINTS}{BOXES}");
    let (name, kind, input, decode) = match task {
        "classify" => (task, "classify", PICTURE, CLASSES),
        "classify text" => ("classify", "classify", TEXT, CLASSES),
        "detect" | "obb" => (task, task, PICTURE, BOXES),
        "pose" => (task, "pose", PICTURE, points.as_str()),
        "regions" => (
            "segment",
            "semantic",
            PICTURE,
            "labels = \"labels.txt\"\nactivation = \"softmax\"\nmin_mask = 0.5",
        ),
        "tag" => (task, "tag", TEXT, "labels = \"labels.txt\""),
        "answer" => (task, "answer", TEXT, ""),
        "embed" => (task, "embed", TEXT, "pooling = \"mean\"\nnormalize = true"),
        "generate" => (task, "generate", TEXT, "max_tokens = 8"),
        "tensors" => (task, "tensors", "kind = \"tensors\"", ""),
        "transcribe" => (task, "transcribe", SOUND, HEARD),
        other => panic!("{other}"),
    };
    let recipe = format!(
        "name = \"none\"\ntask = \"{name}\"\nfamily = \"none\"\nlicense = \"MIT\"\nhomepage = \"\"\n\
         sources = []\ngraphs = {{ model = \"model.onnx\" }}\nbeside = [\"labels.txt\"]\n\
         [input]\n{input}\n[decode]\nkind = \"{kind}\"\n{decode}\n"
    );
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    fs::write(folder.join("model.onnx"), "").unwrap();
    let labels = match task {
        "tag" => "O\nB-PER\nI-PER\nB-LOC\nI-LOC\n",
        _ => "cat\nbig dog\nbird\n",
    };
    fs::write(folder.join("labels.txt"), labels).unwrap();
    let recipe = folder.join("recipe.toml");
    Bundle::load_with_recipe(&folder.join("model.onnx"), &recipe).unwrap()
}

/// A file that is to be there: its content, or for pictures and sound of nothing `None`.
type File<'a> = (&'a str, Option<&'a [u8]>);

struct Case<'a> {
    name: &'a str,
    task: &'a str,
    files: &'a [File<'a>],
    /// What is opened, seen from the folder of the files.
    open: &'a str,
    columns: &'a [(&'a str, &'a str)],
    group: Option<&'a str>,
    /// A line a sample, or what the error says.
    expected: Result<&'a [&'a str], &'a str>,
}

const PLAIN: Case<'_> = Case {
    name: "",
    task: "",
    files: &[],
    open: "",
    columns: &[],
    group: None,
    expected: Ok(&[]),
};

fn text(text: &str) -> Option<&[u8]> {
    Some(text.as_bytes())
}

fn check(cases: &[Case<'_>]) {
    for case in cases {
        let name = case.name;
        let model = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in case.files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None if path.extension().is_some_and(|e| e == "wav") => {
                    fs::write(&path, "").unwrap()
                }
                // 10 wide, 20 high.
                None => image::RgbImage::new(10, 20).save(&path).unwrap(),
            }
        }
        let pairs: Vec<_> = case
            .columns
            .iter()
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect();
        let opened = Columns::new(&pairs, case.group.map(Into::into)).and_then(|columns| {
            Dataset::open(
                &folder.path().join(case.open),
                &bundle(model.path(), case.task),
                &columns,
            )
        });
        match (opened, case.expected) {
            (Ok(dataset), Ok(expected)) => {
                let found: Vec<_> = dataset.samples.iter().map(described).collect();
                assert_eq!(found, expected, "{name}");
            }
            (Err(error), Err(says)) => {
                let text = format!("{error:#}");
                assert!(text.contains(says), "{name}: {text}");
                let kind = failure::kind(&error);
                let bad = matches!(kind, ErrorKind::Input | ErrorKind::Unsupported);
                assert!(bad, "{name}: {kind:?}");
            }
            (Ok(_), Err(says)) => panic!("{name}: expected an error with {says}"),
            (Err(error), Ok(_)) => panic!("{name}: {error:#}"),
        }
    }
}

/// A sample in a line.
fn described(sample: &Sample) -> String {
    let file = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let item = match &sample.item {
        Item::Text(text) => text.clone(),
        Item::Pair([a, b]) => format!("{a} / {b}"),
        Item::Picture(path) | Item::Sound(path) => file(path),
        Item::Question { question, context } => format!("{question} {context}"),
    };
    let truth = match &sample.truth {
        Truth::Class(class) => format!("{} {}", class.index, class.label),
        Truth::Things(things) => {
            let things = things.iter().map(|thing| {
                let a = &thing.annotation;
                let numbers = |n: &[f64]| {
                    n.iter()
                        .map(|n| format!("{n:.1}"))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                let shape = match (&a.obb, &a.keypoints, &a.bbox) {
                    (Some(obb), ..) => numbers(&obb[..]),
                    (_, Some(points), _) => numbers(points),
                    (.., Some(bbox)) => numbers(bbox),
                    _ => String::new(),
                };
                let mask = if a.segmentation.is_some() {
                    " mask"
                } else {
                    ""
                };
                format!("{} {} {shape}{mask}", a.category_id, thing.label)
            });
            things.collect::<Vec<_>>().join("; ")
        }
        Truth::Map(path) => file(path),
        Truth::Similarity(rated) => rated.to_string(),
        Truth::Speech(text) => text.clone(),
        Truth::Entities(entities) => entities
            .iter()
            .map(|e| format!("{} {}..{}", e.label, e.start, e.end))
            .collect::<Vec<_>>()
            .join("; "),
        Truth::Answers(answers) => answers.join(" | "),
        other => other.noun().to_string(),
    };
    match &sample.group {
        Some(group) => format!("{item}: {truth} [{group}]"),
        None => format!("{item}: {truth}"),
    }
}

#[test]
fn classes_of_pictures() {
    check(&[
        Case {
            name: "one folder a class, by name however written",
            task: "classify",
            files: &[
                ("cat/b.png", None),
                ("cat/a.jpg", None),
                ("Big_Dog/c.png", None),
                ("bird/x.txt", text("")),
            ],
            expected: Ok(&["c.png: 1 big dog", "a.jpg: 0 cat", "b.png: 0 cat"]),
            ..PLAIN
        },
        Case {
            name: "as many folders as classes, in order",
            task: "classify",
            files: &[("n1/a.png", None), ("n2/b.png", None), ("n3/c.png", None)],
            expected: Ok(&["a.png: 0 cat", "b.png: 1 big dog", "c.png: 2 bird"]),
            ..PLAIN
        },
        Case {
            name: "of parts the one that is not learnt from",
            task: "classify",
            files: &[("train/cat/a.png", None), ("val/bird/b.png", None)],
            expected: Ok(&["b.png: 2 bird"]),
            ..PLAIN
        },
        Case {
            name: "a class that the model does not have",
            task: "classify",
            files: &[("cat/a.png", None), ("fish/b.png", None)],
            expected: Err("no class `fish`; it has `cat`, `big dog`, `bird`"),
            ..PLAIN
        },
        Case {
            name: "numbers in names",
            task: "classify",
            files: &[("000_x.png", None), ("002-y.jpg", None)],
            expected: Ok(&["000_x.png: 0 cat", "002-y.jpg: 2 bird"]),
            ..PLAIN
        },
        Case {
            name: "a number beyond the classes",
            task: "classify",
            files: &[("003_x.png", None)],
            expected: Err("no class `003`"),
            ..PLAIN
        },
        Case {
            name: "a number in one name and not in the other",
            task: "classify",
            files: &[("000_x.png", None), ("cat.png", None)],
            expected: Err("cat.png: expected one folder a class"),
            ..PLAIN
        },
        Case {
            name: "pictures that nobody has said anything of, though they have numbers",
            task: "classify",
            files: &[("000000000139.jpg", None), ("cat.png", None)],
            expected: Ok(&["000000000139.jpg: nothing", "cat.png: nothing"]),
            ..PLAIN
        },
        Case {
            name: "an empty folder",
            task: "classify",
            files: &[("cat/x.txt", text(""))],
            expected: Err("has no samples"),
            ..PLAIN
        },
        Case {
            name: "a table beside the pictures, with groups",
            task: "classify",
            files: &[
                (
                    "list.csv",
                    text("label,city,image\nbird,\"Rome, Italy\",p/a.png\n1,Oslo,p/b.png\n"),
                ),
                ("p/a.png", None),
                ("p/b.png", None),
            ],
            group: Some("city"),
            expected: Ok(&["a.png: 2 bird [Rome, Italy]", "b.png: 1 big dog [Oslo]"]),
            ..PLAIN
        },
        Case {
            name: "a picture that is not there",
            task: "classify",
            files: &[("list.csv", text("file,label\nno.png,cat\n"))],
            expected: Err("list.csv:2: "),
            ..PLAIN
        },
        Case {
            name: "the folder above as group",
            task: "classify",
            files: &[("cat/day/a.png", None), ("cat/night/b.png", None)],
            group: Some("folder"),
            expected: Ok(&["a.png: 0 cat [cat]", "b.png: 0 cat [cat]"]),
            ..PLAIN
        },
        Case {
            name: "no dataset",
            task: "classify",
            open: "nowhere",
            expected: Err("nowhere does not exist"),
            ..PLAIN
        },
        Case {
            name: "no metric",
            task: "tensors",
            expected: Err("bevel verify"),
            ..PLAIN
        },
    ]);
}

#[test]
fn tables_of_texts() {
    let table = Case {
        task: "classify text",
        open: "t.csv",
        ..PLAIN
    };
    check(&[
        Case {
            name: "columns by custom",
            files: &[(
                "t.csv",
                text("id,sentence,label\n7,\"so, so\",cat\n8,\"a \"\"b\"\"\",2\n"),
            )],
            expected: Ok(&["so, so: 0 cat", "a \"b\": 2 bird"]),
            ..table
        },
        Case {
            name: "columns by name, and a mark at the start",
            files: &[("t.csv", text("\u{feff}what,kind\nhello,bird\n"))],
            columns: &[("text", "what"), ("label", "kind")],
            expected: Ok(&["hello: 2 bird"]),
            ..table
        },
        Case {
            name: "columns by number",
            files: &[("t.tsv", text("bird\t\"hello\n\ncat\tho\n"))],
            open: "t.tsv",
            columns: &[("text", "2"), ("label", "1")],
            expected: Ok(&["\"hello: 2 bird", "ho: 0 cat"]),
            ..table
        },
        Case {
            name: "no names: columns in order",
            files: &[("t.tsv", text("hello\tbird\n"))],
            open: "t.tsv",
            expected: Ok(&["hello: 2 bird"]),
            ..table
        },
        Case {
            name: "objects",
            files: &[(
                "t.jsonl",
                text(
                    "{\"text\": \"a\", \"label\": 1, \"by\": \"me\"}\n\n{\"label\": \"cat\", \"by\": 3, \"text\": \"b\"}",
                ),
            )],
            open: "t.jsonl",
            group: Some("by"),
            expected: Ok(&["a: 1 big dog [me]", "b: 0 cat [3]"]),
            ..table
        },
        Case {
            name: "no such column",
            files: &[("t.csv", text("text,kind\nhello,bird\n"))],
            expected: Err(
                "t.csv:1: no column for label; name it with --column label=NAME; there are: text, kind",
            ),
            ..table
        },
        Case {
            name: "no such group",
            files: &[("t.csv", text("text,label\nhello,bird\n"))],
            group: Some("age"),
            expected: Err("no column `age`"),
            ..table
        },
        Case {
            name: "a role that there is not",
            files: &[("t.csv", text(""))],
            columns: &[("words", "x")],
            expected: Err("--column words: no such role"),
            ..table
        },
        Case {
            name: "a short row",
            files: &[("t.csv", text("text,label\nhello\n"))],
            expected: Err("t.csv:2: 1 columns, expected at least 2"),
            ..table
        },
        Case {
            name: "an unknown label",
            files: &[("t.csv", text("text,label\nhello,fish\n"))],
            expected: Err("t.csv:2: the model has no class `fish`"),
            ..table
        },
        Case {
            name: "not UTF-8",
            files: &[("t.csv", Some(b"text,label\nhello,bird\ncaf\xe9,cat\n"))],
            expected: Err("t.csv:3: not UTF-8"),
            ..table
        },
        Case {
            name: "not an object",
            files: &[("t.jsonl", text("{\"text\": \"a\", \"label\": 1}\n[1]"))],
            open: "t.jsonl",
            expected: Err("t.jsonl:2: not a JSON object"),
            ..table
        },
        Case {
            name: "a list for a text",
            files: &[("t.jsonl", text("{\"text\": [1], \"label\": 1}"))],
            open: "t.jsonl",
            expected: Err("t.jsonl:1: text is [1], expected a text"),
            ..table
        },
        Case {
            name: "an empty table",
            files: &[("t.csv", text("text,label\n"))],
            expected: Err("has no samples"),
            ..table
        },
        Case {
            name: "no table",
            files: &[("t.docx", text(""))],
            open: "t.docx",
            expected: Err("a table (.csv, .tsv, .jsonl)"),
            ..table
        },
    ]);
}

#[test]
fn texts_for_vectors_and_for_going_on() {
    let table = Case {
        task: "embed",
        open: "t.csv",
        ..PLAIN
    };
    check(&[
        Case {
            name: "rated pairs",
            files: &[("t.csv", text("sentence1,sentence2,score\na,b,4.5\n"))],
            expected: Ok(&["a / b: 4.5"]),
            ..table
        },
        Case {
            name: "rated pairs without names",
            files: &[("t.csv", text("a,b,0\n"))],
            expected: Ok(&["a / b: 0"]),
            ..table
        },
        Case {
            name: "a rating that is no number",
            files: &[("t.csv", text("a,b,NaN\n"))],
            expected: Err("t.csv:1: score is \"NaN\", expected a number"),
            ..table
        },
        Case {
            name: "bare texts, one of them empty",
            files: &[("t.txt", text("one\r\n \ntwo"))],
            open: "t.txt",
            expected: Ok(&["one: nothing", "two: nothing"]),
            ..table
        },
        Case {
            name: "a column of texts",
            files: &[("t.csv", text("text,b\na,b\n"))],
            expected: Ok(&["a: nothing"]),
            ..table
        },
        Case {
            name: "texts for a model that goes on",
            task: "generate",
            files: &[("d/a.txt", text("one")), ("d/b.txt", text("two"))],
            open: "d",
            group: Some("folder"),
            expected: Ok(&["one: a text [d]", "two: a text [d]"]),
            ..PLAIN
        },
    ]);
}

#[test]
fn things_in_pictures() {
    const COCO: &str = r#"{"images": [{"id": 9, "file_name": "a.png", "place": "sea"}, {"id": 3, "file_name": "b.png", "place": 4}],
        "categories": [{"id": 18, "name": "big dog"}, {"id": 4, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 9, "category_id": 18, "bbox": [1, 2, 3, 4], "iscrowd": 0},
                        {"id": 2, "image_id": 9, "category_id": 4, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 0, 1, 1]]}]}"#;
    const OTHER: &str = r#"{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [],
        "categories": [{"id": 1, "name": "fish"}]}"#;
    const YAML: &str = "path: /nowhere/on/this/machine\ntrain: images/train # learnt\nval: images/val\n\nnames:\n  1: cat\n  0: 'bird'\n";
    check(&[
        Case {
            name: "COCO, a folder, in order of number",
            task: "detect",
            files: &[
                ("instances.json", text(COCO)),
                ("images/a.png", None),
                ("images/b.png", None),
            ],
            expected: Ok(&[
                "b.png: ",
                "a.png: 1 big dog 1.0 2.0 3.0 4.0; 0 cat 0.0 0.0 1.0 1.0 mask",
            ]),
            ..PLAIN
        },
        Case {
            name: "COCO, a file in annotations/, with groups",
            task: "detect",
            files: &[
                ("annotations/instances_val2017.json", text(COCO)),
                ("val2017/a.png", None),
                ("val2017/b.png", None),
            ],
            open: "annotations/instances_val2017.json",
            group: Some("place"),
            expected: Ok(&[
                "b.png:  [4]",
                "a.png: 1 big dog 1.0 2.0 3.0 4.0; 0 cat 0.0 0.0 1.0 1.0 mask [sea]",
            ]),
            ..PLAIN
        },
        Case {
            name: "COCO without a picture",
            task: "detect",
            files: &[("instances.json", text(COCO)), ("images/a.png", None)],
            expected: Err("picture 3 `b.png` is neither beside it nor in images/"),
            ..PLAIN
        },
        Case {
            name: "COCO of other classes",
            task: "detect",
            files: &[("instances.json", text(OTHER)), ("a.png", None)],
            expected: Err("no class `fish`"),
            ..PLAIN
        },
        Case {
            name: "no COCO",
            task: "detect",
            files: &[("x.json", text("{\"images\": 3}"))],
            open: "x.json",
            expected: Err("not COCO's annotations"),
            ..PLAIN
        },
        Case {
            name: "YOLO with data.yaml",
            task: "detect",
            files: &[
                ("data.yaml", text(YAML)),
                ("images/val/a.png", None),
                ("images/val/b.png", None),
                (
                    "labels/val/a.txt",
                    text("1 0.5 0.5 0.2 0.1\n0 0.1 0.1 0.2 0.1 0.2 0.2\n"),
                ),
            ],
            expected: Ok(&[
                "a.png: 0 cat 4.0 9.0 2.0 2.0; 2 bird 1.0 2.0 1.0 2.0 mask",
                "b.png: ",
            ]),
            ..PLAIN
        },
        Case {
            name: "YOLO, two folders",
            task: "detect",
            files: &[
                ("images/a.png", None),
                ("labels/a.txt", text("2 0.5 0.5 1 1")),
            ],
            expected: Ok(&["a.png: 2 bird 0.0 0.0 10.0 20.0"]),
            ..PLAIN
        },
        Case {
            name: "YOLO of directions",
            task: "obb",
            files: &[
                ("images/a.png", None),
                ("labels/a.txt", text("0 0.2 0.1 0.8 0.1 0.8 0.3 0.2 0.3")),
            ],
            expected: Ok(&["a.png: 0 cat 5.0 4.0 6.0 4.0 0.0"]),
            ..PLAIN
        },
        Case {
            name: "YOLO of keypoints",
            task: "pose",
            files: &[
                ("images/a.png", None),
                ("labels/a.txt", text("0 0.5 0.5 1 1 0.1 0.1 2 0 0 0")),
            ],
            expected: Ok(&["a.png: 0 cat 1.0 2.0 2.0 0.0 0.0 0.0"]),
            ..PLAIN
        },
        Case {
            name: "YOLO with a class too many",
            task: "detect",
            files: &[
                ("images/a.png", None),
                ("labels/a.txt", text("0 0.5 0.5 1 1\n3 0.5 0.5 1 1")),
            ],
            expected: Err("a.txt:2: there is no class 3"),
            ..PLAIN
        },
        Case {
            name: "YOLO with a number too few",
            task: "detect",
            files: &[
                ("images/a.png", None),
                ("labels/a.txt", text("0 0.5 0.5 1")),
            ],
            expected: Err("a.txt:1: 3 numbers behind the class, expected 4"),
            ..PLAIN
        },
        Case {
            name: "pictures alone",
            task: "detect",
            files: &[("a.png", None)],
            expected: Ok(&["a.png: nothing"]),
            ..PLAIN
        },
        Case {
            name: "neither",
            task: "detect",
            files: &[("a.png", None), ("notes.md", text(""))],
            expected: Err("expected COCO"),
            ..PLAIN
        },
    ]);
}

#[test]
fn names_of_yolo_in_each_way_of_writing() {
    for (name, names) in [
        ("in brackets", "names: ['cat', \"bird\"]"),
        ("in brackets over lines", "names: ['cat',\n  \"bird\"]"),
        ("dashes", "nc: 2\nnames:\n- cat\n- bird"),
        ("numbers", "names:\n    0: cat\n    1: bird"),
        ("in braces", "names: {0: cat, 1: bird}"),
    ] {
        let yaml = format!("val: images\n{names}\n");
        check(&[Case {
            name,
            task: "detect",
            files: &[
                ("data.yaml", text(&yaml)),
                ("images/a.png", None),
                ("labels/a.txt", text("1 0.5 0.5 1 1")),
            ],
            expected: Ok(&["a.png: 2 bird 0.0 0.0 10.0 20.0"]),
            ..PLAIN
        }]);
    }
}

#[test]
fn entities_of_texts() {
    check(&[
        Case {
            name: "columns, the last of which is the tag",
            task: "tag",
            files: &[(
                "a.conll",
                text(
                    "-DOCSTART- -X- O\n\n# id 1\nÄnne NNP B-PER\nLee NNP I-PER\nis VBZ O\n\n\nRome\tNN\tI-LOC\n",
                ),
            )],
            open: "a.conll",
            expected: Ok(&["Änne Lee is: PER 0..8", "Rome: LOC 0..4"]),
            ..PLAIN
        },
        Case {
            name: "lists, tags by name and by number, with groups",
            task: "tag",
            files: &[(
                "a.jsonl",
                text(
                    "{\"tokens\": [\"In\", \"Rome\"], \"tags\": [\"O\", \"B-LOC\"], \"by\": \"x\"}\n{\"tokens\": [\"Anne\"], \"ner_tags\": [1], \"by\": \"y\"}\n",
                ),
            )],
            open: "a.jsonl",
            group: Some("by"),
            expected: Ok(&["In Rome: LOC 3..7 [x]", "Anne: PER 0..4 [y]"]),
            ..PLAIN
        },
        Case {
            name: "a label that the model does not have",
            task: "tag",
            files: &[("a.conll", text("x O\ny B-ORG\n"))],
            open: "a.conll",
            expected: Err("a.conll:1: the model has no label `ORG`; it has LOC, PER"),
            ..PLAIN
        },
        Case {
            name: "a word alone",
            task: "tag",
            files: &[("a.bio", text("x O\ny\n"))],
            open: "a.bio",
            expected: Err("a.bio:2: a word without a tag"),
            ..PLAIN
        },
        Case {
            name: "more words than tags",
            task: "tag",
            files: &[(
                "a.jsonl",
                text("{\"tokens\": [\"In\", \"Rome\"], \"tags\": [\"O\"]}"),
            )],
            open: "a.jsonl",
            expected: Err("a.jsonl:1: 2 tokens and 1 tags"),
            ..PLAIN
        },
    ]);
}

#[test]
fn questions_about_texts() {
    const SQUAD: &str = r#"{"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "It is red.",
        "qas": [{"id": "1", "question": "What colour?", "answers": [{"text": "red", "answer_start": 6}, {"text": "It is red", "answer_start": 0}]},
                {"id": "2", "question": "Why?", "answers": [], "is_impossible": true}]}]}]}"#;
    check(&[
        Case {
            name: "SQuAD",
            task: "answer",
            files: &[("dev.json", text(SQUAD))],
            open: "dev.json",
            expected: Ok(&[
                "What colour? It is red.: red | It is red",
                "Why? It is red.: ",
            ]),
            ..PLAIN
        },
        Case {
            name: "as Hugging Face has it, and plain",
            task: "answer",
            files: &[(
                "a.jsonl",
                text(
                    "{\"question\": \"q\", \"context\": \"c\", \"answers\": {\"text\": [\"a\", \"b\"], \"answer_start\": [0, 1]}}\n{\"question\": \"r\", \"context\": \"c\", \"answer\": \"d\"}",
                ),
            )],
            open: "a.jsonl",
            expected: Ok(&["q c: a | b", "r c: d"]),
            ..PLAIN
        },
        Case {
            name: "a table with a list",
            task: "answer",
            files: &[(
                "a.csv",
                text("question,context,answers\nq,c,\"[\"\"x\"\", \"\"y\"\"]\"\nr,c,\n"),
            )],
            open: "a.csv",
            expected: Ok(&["q c: x | y", "r c: "]),
            ..PLAIN
        },
        Case {
            name: "no SQuAD",
            task: "answer",
            files: &[("dev.json", text("[]"))],
            open: "dev.json",
            expected: Err("not SQuAD's questions"),
            ..PLAIN
        },
    ]);
}

#[test]
fn recordings() {
    let folder = Case {
        task: "transcribe",
        ..PLAIN
    };
    check(&[
        Case {
            name: "a table without names",
            files: &[
                ("transcripts.tsv", text("a.wav\thello there\n")),
                ("a.wav", None),
            ],
            expected: Ok(&["a.wav: hello there"]),
            ..folder
        },
        Case {
            name: "Common Voice",
            files: &[
                ("v.tsv", text("path\tsentence\tgender\na.wav\thi\tfemale\n")),
                ("a.wav", None),
            ],
            open: "v.tsv",
            group: Some("gender"),
            expected: Ok(&["a.wav: hi [female]"]),
            ..folder
        },
        Case {
            name: "LibriSpeech",
            files: &[
                ("1/2/1-2.trans.txt", text("1-2-0 HELLO THERE\n1-2-1 YES\n")),
                ("1/2/1-2-0.wav", None),
                ("1/2/1-2-1.wav", None),
            ],
            expected: Ok(&["1-2-0.wav: HELLO THERE", "1-2-1.wav: YES"]),
            ..folder
        },
        Case {
            name: "LibriSpeech without a recording",
            files: &[("1/2/1-2.trans.txt", text("1-2-0 HELLO\n"))],
            expected: Err("1-2.trans.txt:1: expected 1-2-0.flac"),
            ..folder
        },
        Case {
            name: "a text beside each",
            files: &[
                ("a.wav", None),
                ("a.txt", text("hello\n")),
                ("b.wav", None),
                ("b.txt", text("there")),
            ],
            expected: Ok(&["a.wav: hello", "b.wav: there"]),
            ..folder
        },
        Case {
            name: "a text is missing",
            files: &[("a.wav", None)],
            expected: Err("a.txt with what is said in it"),
            ..folder
        },
    ]);
}

#[test]
fn maps_of_classes() {
    let folder = Case {
        task: "regions",
        ..PLAIN
    };
    check(&[
        Case {
            name: "pictures and masks",
            files: &[("images/a.jpg", None), ("masks/a.png", None)],
            expected: Ok(&["a.jpg: a.png"]),
            ..folder
        },
        Case {
            name: "a mask is missing",
            files: &[("images/a.jpg", None), ("masks/b.png", None)],
            expected: Err("a.jpg: expected its mask"),
            ..folder
        },
        Case {
            name: "no masks",
            files: &[("images/a.jpg", None)],
            expected: Err("expected a folder with images/ and masks/"),
            ..folder
        },
    ]);
}

#[test]
fn masks_hold_classes_and_not_colours() {
    use masks::Pixel::{Class, Ignored, Nothing};
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, color, depth, palette: Option<&[u8]>, data: &[u8]| {
        let path = folder.path().join(name);
        let file = fs::File::create(&path).unwrap();
        let mut encoder = png::Encoder::new(file, 3, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        encoder
            .write_header()
            .unwrap()
            .write_image_data(data)
            .unwrap();
        path
    };
    let grey = write(
        "grey.png",
        png::ColorType::Grayscale,
        png::BitDepth::Eight,
        None,
        &[0, 1, 2, 255, 7, 0],
    );
    let map = masks::read(&grey, false).unwrap();
    assert_eq!((map.width, map.height), (3, 2));
    assert_eq!(
        map.pixels,
        [Class(0), Class(1), Class(2), Ignored, Class(7), Class(0)]
    );
    let map = masks::read(&grey, true).unwrap();
    assert_eq!(
        map.pixels,
        [Nothing, Class(0), Class(1), Ignored, Class(6), Nothing]
    );
    // Two bits a pixel, three pixels a row: 0 1 2, 3 0 1.
    let colours = [9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6];
    let palette = write(
        "palette.png",
        png::ColorType::Indexed,
        png::BitDepth::Two,
        Some(&colours),
        &[0b0001_1000, 0b1100_0100],
    );
    let map = masks::read(&palette, false).unwrap();
    assert_eq!(
        map.pixels,
        [Class(0), Class(1), Class(2), Class(3), Class(0), Class(1)]
    );
    let rgb = write(
        "rgb.png",
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        None,
        &[0; 18],
    );
    let error = masks::read(&rgb, false).err().unwrap().to_string();
    assert!(error.contains("rgb.png: has colours"), "{error}");
    fs::write(folder.path().join("no.png"), "no").unwrap();
    let error = masks::read(&folder.path().join("no.png"), false)
        .err()
        .unwrap();
    assert_eq!(failure::kind(&error), ErrorKind::Input);
}
