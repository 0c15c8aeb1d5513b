use super::*;

/// Blank, `|` and the tokens.
fn characters(tokens: &str, delimiter: Option<u32>) -> Characters {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.txt");
    std::fs::write(&path, format!("<pad>\n|\n{tokens}")).unwrap();
    Characters::load(&path.as_path().into(), delimiter).unwrap()
}

const ABC: &str = "A\nB\nC\n";

fn model(words: &str) -> String {
    let words: Vec<_> = words.split(' ').collect();
    let mut text = format!("\\data\\\nngram 1={}\n\n\\1-grams:\n", words.len() + 2);
    text += "-99\t<s>\n-1\t</s>\n";
    for word in words {
        text += &format!("-0.5\t{word}\n");
    }
    text + "\\end\\\n"
}

/// Of each frame the classes that are likely, and by how much.
fn frames(likely: &[&[(usize, f32)]]) -> Vec<f32> {
    let mut all = Vec::new();
    for likely in likely {
        let mut row = [1e-6_f32; 5];
        for (class, p) in *likely {
            row[*class] = *p;
        }
        all.extend(row.map(f32::ln));
    }
    all
}

#[test]
fn words_have_times_and_scores() {
    // B is heard from 0.02 s to 0.06 s.
    let log_probs = frames(&[
        &[(0, 1.0)],
        &[(3, 0.8), (2, 0.2)],
        &[(3, 0.6), (0, 0.4)],
        &[(1, 1.0)],
        &[(0, 1.0)],
        &[(1, 1.0)],
        &[(2, 0.9)],
        &[(0, 1.0)],
        &[(4, 0.5), (0, 0.4)],
    ]);
    for beams in [None, Some(10)] {
        let options = SpeechOptions {
            timestamps: Timestamps::Words,
            beams,
            ..SpeechOptions::default()
        };
        let mut decoder = Decoder::new(characters(ABC, Some(1)), 0, &options).unwrap();
        let found = decoder.segment(&log_probs, 100, (0.02, 0.17)).unwrap();
        assert_eq!((found.start, found.end), (0.0, 0.17));
        assert_eq!(found.text, "B AC", "{beams:?}");
        let expected = [("B", 0.02, 0.06, 0.7), ("AC", 0.12, 0.17, 0.7)];
        assert_eq!(found.words.len(), expected.len());
        for (word, (text, start, end, score)) in found.words.iter().zip(expected) {
            assert_eq!(word.text, text);
            assert!((word.start - start).abs() < 1e-9, "{word:?}");
            assert!((word.end - end).abs() < 1e-9, "{word:?}");
            assert!((word.score - score).abs() < 1e-5, "{word:?}");
        }
    }
}

#[test]
fn without_spaces_each_token_is_a_word() {
    let options = SpeechOptions {
        timestamps: Timestamps::Words,
        ..SpeechOptions::default()
    };
    let log_probs = frames(&[&[(2, 1.0)], &[(3, 1.0)]]);
    let mut decoder = Decoder::new(characters("我\n你\n他\n", None), 0, &options).unwrap();
    let found = decoder.segment(&log_probs, 100, (0.02, 0.04)).unwrap();
    let words: Vec<_> = found.words.iter().map(|w| w.text.as_str()).collect();
    assert_eq!((found.text.as_str(), words), ("我你", vec!["我", "你"]));
    assert_eq!(
        decoder.segment(&frames(&[&[(0, 1.0)]]), 100, (0.02, 0.02)),
        None
    );
    assert_eq!(decoder.segment(&[], 100, (0.02, 0.02)), None);
}

#[test]
fn hot_words_and_language_models_decide_what_sounds_alike() {
    // A or B, then C: A is a little likelier.
    let log_probs = frames(&[&[(2, 0.5), (3, 0.4)], &[(4, 1.0)], &[(0, 1.0)]]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("words.arpa");
    std::fs::write(&path, model("BC C")).unwrap();
    struct Case {
        name: &'static str,
        hot_words: Vec<String>,
        model: bool,
        text: &'static str,
    }
    let cases = [
        Case {
            name: "neither",
            hot_words: Vec::new(),
            model: false,
            text: "AC",
        },
        Case {
            name: "hot words, whose case is that of the model",
            hot_words: vec!["bc".into()],
            model: false,
            text: "BC",
        },
        Case {
            name: "a language model",
            hot_words: Vec::new(),
            model: true,
            text: "BC",
        },
        Case {
            name: "both",
            hot_words: vec!["BC".into()],
            model: true,
            text: "BC",
        },
    ];
    for case in cases {
        let options = SpeechOptions {
            hot_words: case.hot_words,
            language_model: case.model.then(|| path.clone()),
            ..SpeechOptions::default()
        };
        let mut decoder = Decoder::new(characters(ABC, Some(1)), 0, &options).unwrap();
        let found = decoder.segment(&log_probs, 100, (0.02, 0.06)).unwrap();
        assert_eq!(found.text, case.text, "{}", case.name);
    }
}

#[test]
fn options_that_cannot_be_followed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (lower, damaged) = (
        write("lower.arpa", &model("the cab")),
        write("x.arpa", "x\n"),
    );
    let of = |change: &dyn Fn(&mut SpeechOptions)| {
        let mut options = SpeechOptions::default();
        change(&mut options);
        options
    };
    struct Case {
        name: &'static str,
        options: SpeechOptions,
        delimiter: Option<u32>,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "translation",
            options: of(&|o| o.translate = true),
            delimiter: Some(1),
            says: "Unsupported: a CTC model writes down what it hears",
        },
        Case {
            name: "a prompt",
            options: of(&|o| o.prompt = Some("x".into())),
            delimiter: Some(1),
            says: "Unsupported: a CTC model takes no prompt",
        },
        Case {
            name: "no beams",
            options: of(&|o| o.beams = Some(0)),
            delimiter: Some(1),
            says: "Input: 0 beams, expected 1 ..= 1024",
        },
        Case {
            name: "too many",
            options: of(&|o| o.beams = Some(1025)),
            delimiter: Some(1),
            says: "Input: 1025 beams",
        },
        Case {
            name: "no words",
            options: of(&|o| o.hot_words = vec!["A".into()]),
            delimiter: None,
            says: "Unsupported: this model writes no spaces",
        },
        Case {
            name: "a character that is not there",
            options: of(&|o| o.hot_words = vec!["B2B".into()]),
            delimiter: Some(1),
            says: "Input: hot word `B2B` has `2`, which this model cannot write; it knows ABC",
        },
        Case {
            name: "a language model in the other case",
            options: of(&|o| o.language_model = Some(lower.clone())),
            delimiter: Some(1),
            says: "lower.arpa: this model can write 0 of its 2 words with ABC",
        },
        Case {
            name: "no language model",
            options: of(&|o| o.language_model = Some(damaged.clone())),
            delimiter: Some(1),
            says: "x.arpa: line 1: no `\\data\\`: not an ARPA file",
        },
        Case {
            name: "none there",
            options: of(&|o| o.language_model = Some(dir.path().join("none.arpa"))),
            delimiter: Some(1),
            says: "InputFile: cannot read",
        },
    ];
    for case in cases {
        let found = Decoder::new(characters(ABC, case.delimiter), 0, &case.options);
        let text = match found.err().unwrap() {
            Error::Unsupported(what) => format!("Unsupported: {what}"),
            Error::Input(what) => format!("Input: {what}"),
            error @ Error::InputFile { .. } => format!("InputFile: {error}"),
            error => panic!("{}: {error}", case.name),
        };
        assert!(text.contains(case.says), "{}: {text}", case.name);
    }
}
