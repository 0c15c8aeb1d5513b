//! The C interface: programs in C and C++ (`tests/c`) answer for every task what the Rust library answers,
//! garbage gives a status, threads may do what the header says, and nothing leaks or prints.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bevel::Question;
use bevel::speech::{Event, Live, LiveOptions};
use bevel::vision::{ImageView, load_image};
use bevel::{Bundle, Options, Sample, tensors};
use bevel_tests::{
    arg, bevel, bundle, existing_tool, missing, needs, pulled, root, shared, success,
};
use serde_json::Value;
use tempfile::TempDir;

/// What each program is compiled with: warnings are errors.
const C: [&str; 6] = ["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"];
const CPP: [&str; 6] = [
    "c++",
    "-std=c++11",
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Werror",
];

/// `target/PROFILE`, where the library was built.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().to_path_buf();
    let library = folder.join("libbevel_capi.so");
    assert!(
        library.is_file(),
        "{} is not built; run `make test`",
        library.display()
    );
    folder
}

/// A folder with the library under its names, and programs that use it.
struct Programs {
    folder: TempDir,
}

impl Programs {
    /// `None` without a compiler.
    fn new() -> Option<Self> {
        existing_tool(C[0]).and(existing_tool(CPP[0]))?;
        let folder = tempfile::tempdir().unwrap();
        let library = built().join("libbevel_capi.so");
        for name in ["libbevel.so", "libbevel.so.0"] {
            symlink(&library, folder.path().join(name)).unwrap();
        }
        Some(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compiles a program of `tests/c` and answers its path.
    fn compile(&self, compiler: &[&str], source: &str) -> PathBuf {
        let program = self.path(&source.replace('.', "-"));
        let mut command = Command::new(compiler[0]);
        command.args(&compiler[1..]).arg("-g").arg("-pthread");
        command.arg("-I").arg(root().join("runtime/capi/include"));
        command.arg(root().join("tests/c").join(source));
        command
            .arg("-o")
            .arg(&program)
            .arg("-L")
            .arg(self.folder.path());
        success(&command.args(["-lbevel", "-lm"]).output().unwrap());
        program
    }

    /// Runs a program as a host would, with nothing of this test in its environment.
    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        self.command(&[arg(program)])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .current_dir(self.folder.path())
            .env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LD_LIBRARY_PATH", self.folder.path());
        let library = root().join("target/onnxruntime/host/libonnxruntime.so");
        command.env("ORT_DYLIB_PATH", library);
        command
    }
}

/// A model, and what it is asked.
struct Case {
    task: &'static str,
    model: PathBuf,
    recipe: Option<PathBuf>,
    /// As `sample` takes them.
    inputs: Vec<String>,
}

/// Converts a checkpoint.
fn converted(folder: &Path, name: &str, checkpoint: &Path, more: &[&str]) -> PathBuf {
    let bundle = folder.join(format!("{name}.bevel"));
    let mut convert = bevel();
    convert.args([
        "convert",
        arg(checkpoint),
        "-o",
        arg(&bundle),
        "--quantize",
        "none",
    ]);
    success(&convert.args(more).output().unwrap());
    bundle
}

/// Every line of the registry of pipelines; `None` where what some of them need is not here.
fn every_task(folder: &Path) -> Option<Vec<Case>> {
    let own = root().join("tests/golden");
    let (heads, yolo) = (own.join("heads/bert"), own.join("yolo"));
    let minilm = bundle("all-minilm-l6-v2")?;
    let speech = shared("data/speech")?;
    let picture = arg(&own.join("yolo/picture.png")).to_owned();
    let kettle = "The kettle is on the table.";
    let make =
        |name: &str, checkpoint: &Path, more: &[&str]| converted(folder, name, checkpoint, more);
    let case = |task, model, inputs: &[&str]| Case {
        task,
        model,
        recipe: None,
        inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
    };
    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    Some(vec![
        case("embed", minilm, &[kettle, "", "Grüße 🫖"]),
        case(
            "embed",
            make("words", &shared("golden/other/glove")?, &[]),
            &["edge device", "The KING"],
        ),
        case(
            "embed",
            make("image", &shared("golden/vision/vit")?, &["--task", "embed"]),
            &[&picture],
        ),
        case(
            "embed",
            make("towers", &own.join("clip/checkpoint"), &[]),
            &["a picture", &format!("@{picture}")],
        ),
        case(
            "classify",
            make("label", &heads, &["--task", "classify"]),
            &[kettle],
        ),
        case(
            "classify",
            make("what", &yolo.join("classify.pt"), &[]),
            &[&picture],
        ),
        case(
            "tag",
            make("tag", &heads, &["--task", "tag"]),
            &[kettle, "Where?"],
        ),
        case(
            "answer",
            make("answer", &heads, &["--task", "answer"]),
            &["Where is the kettle?", kettle],
        ),
        case(
            "generate",
            make("go-on", &own.join("generate/checkpoint"), &[]),
            &["the old"],
        ),
        case(
            "detect",
            make("detect", &yolo.join("detect.pt"), &[]),
            &[&picture, &picture],
        ),
        case(
            "segment",
            make("things", &yolo.join("segment.pt"), &[]),
            &[&picture],
        ),
        case(
            "segment",
            make("regions", &own.join("segment/unet"), &[]),
            &[&picture],
        ),
        case(
            "pose",
            make("pose", &yolo.join("pose.pt"), &[]),
            &[&picture],
        ),
        case("obb", make("obb", &yolo.join("obb.pt"), &[]), &[&picture]),
        Case {
            recipe: Some(recipe),
            ..case(
                "transcribe",
                pulled("moonshine-tiny")?,
                &[
                    arg(&speech.join("spk1_snt1.wav")),
                    arg(&speech.join("jfk.flac")),
                ],
            )
        },
        case(
            "tensors",
            make("tensors", &shared("golden/other/mlp-policy")?, &[]),
            &[arg(&shared("golden/other/mlp-policy/io.safetensors")?)],
        ),
    ])
}

/// What the Rust library answers, as lines of JSON.
fn rust(case: &Case) -> Vec<String> {
    let bundle = match &case.recipe {
        Some(recipe) => Bundle::load_with_recipe(&case.model, recipe),
        None => Bundle::load(&case.model),
    };
    let bundle = bundle.unwrap();
    let mut pipeline = bevel::open(&bundle, &Options::default()).unwrap();
    let kind = bundle.manifest().input.kind();
    let pictures: Vec<_> = case
        .inputs
        .iter()
        .map(|input| load_image(input.trim_start_matches('@').as_ref()).ok())
        .collect();
    let named: Vec<_> = case
        .inputs
        .iter()
        .map(|input| tensors::load(input.as_ref()).unwrap_or_default())
        .collect();
    let samples: Vec<_> = match case.task {
        "answer" => {
            let [question, context] = &case.inputs[..] else {
                panic!("{:?}", case.inputs);
            };
            vec![Sample::Question(Question { question, context })]
        }
        _ => (0..case.inputs.len())
            .map(|at| match (&pictures[at], kind) {
                (_, "audio") => Sample::SoundFile(case.inputs[at].as_ref()),
                (_, "tensors") => Sample::Tensors(&named[at]),
                (Some(p), _) => {
                    let view = ImageView::from_rgb(p.as_raw(), p.width(), p.height());
                    Sample::Image(view.unwrap())
                }
                _ => Sample::Text(&case.inputs[at]),
            })
            .collect(),
    };
    let answers = pipeline.run(&samples).unwrap();
    answers
        .iter()
        .map(|answer| serde_json::to_string(answer).unwrap())
        .collect()
}

/// A bundle directory as one file.
fn packed(folder: &Path, bundle: &Path) -> PathBuf {
    let file = folder.join("packed.tar");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&file).arg("-C").arg(bundle).arg(".");
    success(&tar.output().unwrap());
    file
}

#[test]
fn c_and_cpp_answer_as_rust_for_every_task() {
    let programs = needs!(Programs::new());
    let cases = needs!(every_task(programs.folder.path()));
    let c = programs.compile(&C, "sample.c");
    let cpp = programs.compile(&CPP, "sample.cpp");
    for case in &cases {
        let name = format!("{} {}", case.task, case.model.display());
        let expected = rust(case);
        let inputs: Vec<_> = case.inputs.iter().map(String::as_str).collect();
        let mut line = vec!["--parts"];
        if let Some(recipe) = &case.recipe {
            line.extend(["--recipe", arg(recipe)]);
        }
        line.extend([case.task, arg(&case.model)]);
        let output = programs.run(&c, &[&line, &inputs[..]].concat());
        let text = success(&output);
        assert!(output.stderr.is_empty(), "{name}: {output:?}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2 * expected.len(), "{name}: {text}");
        for (pair, expected) in lines.chunks(2).zip(&expected) {
            assert_eq!(pair[0], expected, "{name}");
            let of =
                |text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"));
            same_parts(&name, case.task, &of(pair[1]), &of(expected));
        }

        let mut command = programs.command(&[arg(&cpp), case.task, arg(&case.model)]);
        if let Some(recipe) = &case.recipe {
            command.env("RECIPE", recipe);
        }
        let text = success(&command.args(&inputs).output().unwrap());
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{name}, C++");

        if case.recipe.is_none() {
            let file = packed(programs.folder.path(), &case.model);
            for memory in [&["--memory"][..], &[]] {
                let line = [memory, &[case.task, arg(&file)], &inputs[..]].concat();
                let text = success(&programs.run(&c, &line));
                assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{name}, packed");
            }
        }
    }
}

/// The numbers that are told without JSON are those of the JSON.
fn same_parts(name: &str, task: &str, parts: &Value, json: &Value) {
    let numbers = |value: &Value| -> Vec<f32> {
        let list = value
            .as_array()
            .unwrap_or_else(|| panic!("{name}: {value}"));
        list.iter().map(|n| n.as_f64().unwrap() as f32).collect()
    };
    let (key, list) = match task {
        "embed" => {
            let key = "embedding";
            return assert_eq!(numbers(&parts[key]), numbers(&json[key]), "{name}");
        }
        "tensors" => {
            let (output, values) = parts.as_object().unwrap().iter().next().unwrap();
            let expected = &json["outputs"][output]["data"];
            return assert_eq!(numbers(values), numbers(expected), "{name}");
        }
        "generate" => {
            let bytes = json["text"].as_str().unwrap().len();
            return assert_eq!(parts["text_bytes"], bytes, "{name}");
        }
        "classify" => ("score", &json["labels"]),
        "tag" => ("score", &json["entities"]),
        "answer" => ("score", json),
        "transcribe" => ("end", &json["segments"]),
        _ if json["classes"].is_array() => ("share", &json["classes"]),
        _ => ("score", &json["boxes"]),
    };
    let parts = parts["parts"].as_array().unwrap();
    let one = [list.clone()];
    let list = list.as_array().map_or(&one[..], Vec::as_slice);
    assert_eq!(parts.len(), list.len(), "{name}");
    for (part, expected) in parts.iter().zip(list) {
        let number = |value: &Value, key: &str| value[key].as_f64().unwrap() as f32;
        let told = if key == "share" { "score" } else { key };
        assert_eq!(number(part, told), number(expected, key), "{name}");
        for key in ["box", "index", "label", "start", "end"] {
            let (told, expected) = (&part[key], &expected[key]);
            match expected {
                Value::Null => {}
                Value::Array(_) => assert_eq!(numbers(told), numbers(expected), "{name} {key}"),
                Value::Number(n) => assert_eq!(told.as_f64(), n.as_f64(), "{name} {key}"),
                expected => assert_eq!(told, expected, "{name} {key}"),
            }
        }
        if let Some(counts) = expected["mask"]["counts"].as_str() {
            let pixels = bevel_tests::coco_pixels(&bevel_tests::coco_counts(counts));
            let inside = pixels.iter().filter(|inside| **inside).count();
            assert_eq!(part["pixels"], inside, "{name}");
        }
        let points = expected["keypoints"]
            .as_array()
            .or(expected["corners"].as_array());
        assert_eq!(part["points"], 3 * points.map_or(0, Vec::len), "{name}");
    }
}

#[test]
fn live_speech_is_heard_as_by_rust() {
    let programs = needs!(Programs::new());
    let [model, recipe] = needs!(speech());
    let file = needs!(shared("data/speech/spk1_snt1.wav"));
    let bundle = Bundle::load_with_recipe(&model, &recipe).unwrap();
    let (options, live) = (Options::default(), LiveOptions::default());
    let mut live = Live::load(&bundle, &options, &live).unwrap();
    let wav = std::fs::read(&file).unwrap();
    let samples = wav[44..].chunks_exact(2);
    let samples: Vec<_> = samples
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
        .collect();
    assert_eq!(live.push(&samples), samples.len());
    let events = live.finish().into_iter();
    let finals = events.filter_map(|event| match event {
        Event::Final { segment, .. } => Some(segment),
        _ => None,
    });
    let finals: Vec<_> = finals.collect();
    assert!(!finals.is_empty());

    let listen = ["listen", arg(&model), arg(&file)];
    let c = programs.compile(&C, "sample.c");
    let line = [&["--recipe", arg(&recipe)], &listen[..]].concat();
    let text = success(&programs.run(&c, &line));
    let told: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(told.len(), finals.len(), "{text}");
    for (told, segment) in told.iter().zip(&finals) {
        assert_eq!(told["event"], "final");
        let segment = serde_json::to_value(segment).unwrap();
        for key in ["text", "start", "end"] {
            assert_eq!(told[key], segment[key], "{key}");
        }
    }
    let cpp = programs.compile(&CPP, "sample.cpp");
    let mut command = programs.command(&[&[arg(&cpp)], &listen[..]].concat());
    let text = success(&command.env("RECIPE", &recipe).output().unwrap());
    let expected: Vec<_> = finals.iter().map(|segment| segment.text.as_str()).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_memory_cap_is_a_status() {
    let programs = needs!(Programs::new());
    let model = needs!(bundle("all-minilm-l6-v2"));
    let sample = programs.compile(&C, "sample.c");
    for (cap, expected) in [("8", Some(8)), ("512", Some(0))] {
        let line = ["--memory-cap", cap, "embed", arg(&model), "a text"];
        let output = programs.run(&sample, &line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), expected, "{cap}: {error}");
        assert_eq!(
            error.contains("BEVEL_NO_MEMORY"),
            cap == "8",
            "{cap}: {error}"
        );
    }
}

#[test]
fn the_program_of_the_guide_compiles() {
    let programs = needs!(Programs::new());
    let guide = std::fs::read_to_string(root().join("docs/c.md")).unwrap();
    let program = guide
        .split("```c\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let source = programs.path("guide.c");
    std::fs::write(&source, program).unwrap();
    let mut compile = Command::new(C[0]);
    compile
        .args(&C[1..])
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(programs.path("guide.o"));
    compile.arg("-I").arg(root().join("runtime/capi/include"));
    success(&compile.output().unwrap());
}

/// The bundles that `garbage.c` and `threads.c` are run on.
fn small(folder: &Path) -> Option<[PathBuf; 3]> {
    let own = root().join("tests/golden");
    Some([
        converted(folder, "tensors", &shared("golden/other/mlp-policy")?, &[]),
        converted(
            folder,
            "text",
            &own.join("heads/bert"),
            &["--task", "classify"],
        ),
        converted(folder, "picture", &own.join("yolo/detect.pt"), &[]),
    ])
}

fn speech() -> Option<[PathBuf; 2]> {
    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    Some([pulled("moonshine-tiny")?, recipe])
}

/// A run that must have succeeded without a word.
fn silent(output: &Output) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn garbage_gives_a_status() {
    let programs = needs!(Programs::new());
    let [tensors, text, picture] = needs!(small(programs.folder.path()));
    let [speech, recipe] = needs!(speech());
    let garbage = programs.compile(&C, "garbage.c");
    let arguments = [&tensors, &text, &picture, &speech, &recipe].map(|path| arg(path));
    silent(&programs.run(&garbage, &arguments));
}

#[test]
fn eight_threads_open_ask_cancel_and_close() {
    let programs = needs!(Programs::new());
    let [_, text, _] = needs!(small(programs.folder.path()));
    let [speech, recipe] = needs!(speech());
    let threads = programs.compile(&C, "threads.c");
    let arguments = ["10", arg(&text), arg(&speech), arg(&recipe)];
    silent(&programs.run(&threads, &arguments));
}

#[test]
fn nothing_leaks_and_no_memory_is_misused() {
    if existing_tool("valgrind").is_none() {
        return missing("valgrind");
    }
    let programs = needs!(Programs::new());
    let folder = programs.folder.path();
    let [tensors, text, picture] = needs!(small(folder));
    let [speech, recipe] = needs!(speech());
    let io = needs!(shared("golden/other/mlp-policy/io.safetensors"));
    let own = root().join("tests/golden");
    let words = converted(folder, "tag", &own.join("heads/bert"), &["--task", "tag"]);
    let photo = own.join("yolo/picture.png");
    let [sample, garbage, threads] =
        ["sample.c", "garbage.c", "threads.c"].map(|source| programs.compile(&C, source));
    let runs = [
        &[
            arg(&garbage),
            arg(&tensors),
            arg(&text),
            arg(&picture),
            arg(&speech),
            arg(&recipe),
        ][..],
        &[arg(&threads), "1", arg(&text), arg(&speech), arg(&recipe)],
        &[arg(&sample), "--parts", "tensors", arg(&tensors), arg(&io)],
        &[
            arg(&sample),
            "--parts",
            "classify",
            arg(&text),
            "The kettle is on.",
        ],
        &[
            arg(&sample),
            "--parts",
            "tag",
            arg(&words),
            "The kettle is on.",
            "Where?",
        ],
        &[
            arg(&sample),
            "--parts",
            "detect",
            arg(&picture),
            arg(&photo),
        ],
        &[arg(&sample), "classify", "no such bundle", "text"],
    ];
    let suppressions = format!(
        "--suppressions={}",
        arg(&root().join("tests/c/valgrind.supp"))
    );
    for run in runs {
        let valgrind = [
            "valgrind",
            "--quiet",
            "--leak-check=full",
            "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect",
            "--error-exitcode=99",
            &suppressions,
        ];
        let output = programs
            .command(&[&valgrind[..], run].concat())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let wanted = if run.contains(&"no such bundle") {
            3
        } else {
            0
        };
        assert_eq!(output.status.code(), Some(wanted), "{run:?}: {error}");
    }
}

/// Under `strace`: neither a socket nor a byte to standard output or error but those of the program itself.
#[test]
fn no_socket_is_opened_and_nothing_printed() {
    if existing_tool("strace").is_none() {
        return missing("strace");
    }
    let programs = needs!(Programs::new());
    let [tensors, text, picture] = needs!(small(programs.folder.path()));
    let [speech, recipe] = needs!(speech());
    let garbage = programs.compile(&C, "garbage.c");
    let trace = programs.path("trace");
    let calls = "trace=socket,connect,exit_group,execve,write,writev";
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        arg(&trace),
        "-e",
        calls,
        arg(&garbage),
    ];
    let arguments = [&tensors, &text, &picture, &speech, &recipe].map(|path| arg(path));
    silent(
        &programs
            .command(&[&strace[..], &arguments].concat())
            .output()
            .unwrap(),
    );
    let trace = std::fs::read_to_string(trace).unwrap();
    // Itself and its end; eventfd and pipes of libraries would be writes to other files.
    let calls: Vec<_> = trace
        .lines()
        .filter(|line| !line.contains("execve(") && !line.contains("exit_group("))
        .collect();
    assert!(calls.is_empty(), "{calls:#?}");
}

#[test]
fn only_its_own_names_are_exported() {
    if existing_tool("nm").is_none() {
        return missing("nm");
    }
    let library = built().join("libbevel_capi.so");
    let mut nm = Command::new("nm");
    nm.args([
        "--dynamic",
        "--defined-only",
        "--format=posix",
        arg(&library),
    ]);
    let symbols = success(&nm.output().unwrap());
    let names: Vec<_> = symbols
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let others: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("bevel_"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    // As many as the header declares.
    let header = root().join("runtime/capi/include/bevel.h");
    let header = std::fs::read_to_string(header).unwrap();
    for name in &names {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is not in bevel.h"
        );
    }
    assert!(names.len() > 30, "{names:?}");
}

#[test]
fn installed_it_is_found_by_pkg_config() {
    if existing_tool("pkg-config").is_none() {
        return missing("pkg-config");
    }
    let programs = needs!(Programs::new());
    let stage = programs.path("stage");
    let mut install = Command::new(root().join("scripts/install-capi.sh"));
    install.args([arg(&built()), "/opt/bevel", arg(&stage)]);
    success(&install.output().unwrap());
    let pkg_config = |more: &[&str]| -> Vec<String> {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", stage.join("opt/bevel/lib/pkgconfig"));
        command.env("PKG_CONFIG_SYSROOT_DIR", &stage);
        let text = success(&command.args(more).arg("bevel").output().unwrap());
        text.split_whitespace().map(str::to_owned).collect()
    };
    let shared_flags = pkg_config(&["--cflags", "--libs"]);
    // The archive by its name; the linker would take the shared library.
    let fixed = pkg_config(&["--static", "--cflags", "--libs"]);
    let fixed = fixed
        .iter()
        .map(|flag| flag.replace("-lbevel", "-l:libbevel.a"));
    let fixed: Vec<_> = fixed.collect();
    let [_, text, _] = needs!(small(programs.folder.path()));
    let ask = ["classify", arg(&text), "The kettle is on."];
    let mut answers = Vec::new();
    for (name, flags) in [("shared", shared_flags), ("static", fixed)] {
        let program = programs.path(name);
        let mut compile = Command::new(C[0]);
        compile
            .args(&C[1..])
            .arg(root().join("tests/c/sample.c"))
            .args(&flags);
        success(&compile.arg("-o").arg(&program).output().unwrap());
        let mut command = programs.command(&[arg(&program)]);
        command.env("LD_LIBRARY_PATH", stage.join("opt/bevel/lib"));
        answers.push(success(&command.args(ask).output().unwrap()));
        let mut needed = Command::new("readelf");
        let needed = success(&needed.args(["-d", arg(&program)]).output().unwrap());
        assert_eq!(
            needed.contains("libbevel.so.0"),
            name == "shared",
            "{needed}"
        );
    }
    assert_eq!(answers[0], answers[1]);
}
