use super::*;
use crate::testing::{Shapes, write_safetensors};

/// A network of two channels everywhere.
fn shapes() -> Shapes {
    let mut shapes = Shapes::new();
    let mut conv = |name: &str, inputs: usize, side: usize| {
        shapes.insert(format!("{name}.conv.weight"), vec![2, inputs, side, side]);
        for part in ["running_mean", "running_var"] {
            shapes.insert(format!("{name}.bn.{part}"), vec![2]);
        }
    };
    let mut stages = Vec::new();
    conv("backbone.backbone.stem.conv", 12, 3);
    for stage in 2..=5 {
        conv(&format!("backbone.backbone.dark{stage}.0"), 2, 3);
        let last = if stage == 5 { 2 } else { 1 };
        stages.push((format!("backbone.backbone.dark{stage}.{last}"), 2));
    }
    conv("backbone.backbone.dark5.1.conv1", 2, 1);
    conv("backbone.backbone.dark5.1.conv2", 8, 1);
    conv("backbone.lateral_conv0", 2, 1);
    conv("backbone.reduce_conv1", 2, 1);
    conv("backbone.bu_conv1", 2, 3);
    conv("backbone.bu_conv2", 2, 3);
    stages.extend(["C3_p4", "C3_p3", "C3_n3", "C3_n4"].map(|of| (format!("backbone.{of}"), 4)));
    for (stage, inputs) in stages {
        conv(&format!("{stage}.conv1"), inputs, 1);
        conv(&format!("{stage}.conv2"), inputs, 1);
        conv(&format!("{stage}.conv3"), 4, 1);
    }
    for level in 0..3 {
        conv(&format!("head.stems.{level}"), 2, 1);
        for tower in ["cls_convs", "reg_convs"] {
            conv(&format!("head.{tower}.{level}.0"), 2, 3);
            conv(&format!("head.{tower}.{level}.1"), 2, 3);
        }
    }
    for level in 0..3 {
        for (part, outputs) in [("cls", 3), ("reg", 4), ("obj", 1)] {
            let name = format!("head.{part}_preds.{level}");
            shapes.insert(format!("{name}.weight"), vec![outputs, 2, 1, 1]);
            shapes.insert(format!("{name}.bias"), vec![outputs]);
        }
    }
    shapes
}

fn built(dir: &std::path::Path, shapes: &Shapes) -> Result<Built, Error> {
    write_safetensors(&dir.join("model.safetensors"), shapes);
    build(&Source::open(dir)?, &Options::default())
}

#[test]
fn rows_of_the_head_are_counted() {
    let cases = [
        ("head.reg_preds.1", 5, "`head.reg_preds.1` with 5 outputs"),
        ("head.obj_preds.0", 2, "`head.obj_preds.0` with 2 outputs"),
        ("head.cls_preds.2", 4, "`head.cls_preds.2` with 4 outputs"),
    ];
    let dir = tempfile::tempdir().unwrap();
    built(dir.path(), &shapes()).unwrap();
    for (name, outputs, says) in cases {
        let mut shapes = shapes();
        shapes.insert(format!("{name}.weight"), vec![outputs, 2, 1, 1]);
        shapes.insert(format!("{name}.bias"), vec![outputs]);
        let error = built(dir.path(), &shapes).err().unwrap().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    let mut missing = shapes();
    missing.remove("head.cls_preds.0.weight");
    let error = built(dir.path(), &missing).err().unwrap();
    assert!(matches!(error, Error::MissingWeights { .. }), "{error}");
}

#[test]
fn labels_may_stand_in_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("config.json"),
        r#"{"names": ["owl", "elk", "yak"]}"#,
    )
    .unwrap();
    let built = built(dir.path(), &shapes()).unwrap();
    let text = match &built.files[0].content {
        crate::arch::Content::Text(text) => text.clone(),
        crate::arch::Content::Copy(path) => std::fs::read_to_string(path).unwrap(),
    };
    assert_eq!(text, "owl\nelk\nyak\n");
}
