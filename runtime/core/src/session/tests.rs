use bevel_onnx::{DType, Dim, Graph, Tensor as Weights};
use ort::value::TensorRef;

use super::*;

impl Session {
    /// Runs as on a GPU, with tensors in the CPU's memory.
    pub(crate) fn bind_on_cpu(&mut self) {
        self.bound = Some(Bound::new(&self.inner, Memory::Cpu).unwrap());
    }
}

/// `y = relu(x · w + b)`, N×3 → N×2, and `twice = ids + ids`.
fn graph() -> Graph {
    let mut g = Graph::new("bound");
    let x = g.input("x", DType::F32, [Dim::named("batch"), Dim::Fixed(3)]);
    let ids = g.input("ids", DType::I64, [Dim::named("batch")]);
    let w = Weights::f32("w", &[3, 2], vec![0.5, -1.0, 0.25, 2.0, -0.125, 0.75]);
    let w = g.initializer(w);
    let b = g.initializer(Weights::f32("b", &[2], vec![0.1, -0.2]));
    let product = g.node("MatMul", &[&x, &w], []);
    let sum = g.node("Add", &[&product, &b], []);
    let y = g.node("Relu", &[&sum], []);
    let twice = g.node("Add", &[&ids, &ids], []);
    g.output(&y, "y", DType::F32, [Dim::named("batch"), Dim::Fixed(2)]);
    g.output(&twice, "twice", DType::I64, [Dim::named("batch")]);
    g
}

fn saved(folder: &Path) -> PathBuf {
    let path = folder.join("bound.onnx");
    graph().save(&path).unwrap();
    path
}

/// As after a device has taken no node.
#[test]
fn a_device_that_leaves_all_to_the_cpu_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let session = Session::load_recorded(&path.as_path().into(), &Options::default()).unwrap();
    let placed = |device: &str| {
        let device: Devices = device.parse().unwrap();
        placement::takes_part(&session.inner, device.iter().next().unwrap(), &path)
    };
    let error = placed("xnnpack").unwrap_err();
    assert_eq!(error.kind(), bevel_manifest::ErrorKind::Device);
    assert!(error.to_string().contains("takes no node of"), "{error}");
}

fn inputs<'v>(x: &'v [f32], ids: &'v [i64]) -> Inputs<'v, 'v> {
    let x = TensorRef::from_array_view(([ids.len(), 3], x)).unwrap();
    let ids = TensorRef::from_array_view(([ids.len()], ids)).unwrap();
    vec![("x", x.into()), ("ids", ids.into())]
}

#[test]
fn a_bound_run_answers_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let load = || Session::load(&path.as_path().into(), &Options::default()).unwrap();
    let (mut plain, mut bound) = (load(), load());
    bound.bind_on_cpu();
    let selected = Selected::new(vec!["twice".into()]).unwrap();
    // Shapes grow, shrink and stay, and what an earlier run answered must not change.
    let mut held: Vec<(Vec<f32>, ort::value::DynValue)> = Vec::new();
    for rows in [1, 4, 2, 2, 5] {
        let x: Vec<f32> = (0..rows * 3)
            .map(|i| (i as f32 * 0.7).sin() * 3.0)
            .collect();
        let ids: Vec<i64> = (0..rows).map(|i| i as i64 * 7 - 3).collect();
        let expected: Vec<f32> = {
            let outputs = plain.run(inputs(&x, &ids)).unwrap();
            outputs["y"].try_extract_tensor::<f32>().unwrap().1.to_vec()
        };
        let mut outputs = bound.run(inputs(&x, &ids)).unwrap();
        assert_eq!(outputs.len(), 2, "{rows}");
        let (shape, found) = outputs["y"].try_extract_tensor::<f32>().unwrap();
        assert_eq!(&shape[..], [rows as i64, 2], "{rows}");
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(found), bits(&expected), "{rows}");
        held.push((expected, outputs.remove("y").unwrap()));
        drop(outputs);
        let outputs = bound.run_selected(inputs(&x, &ids), &selected).unwrap();
        assert_eq!(outputs.len(), 1, "{rows}");
        let (_, twice) = outputs["twice"].try_extract_tensor::<i64>().unwrap();
        assert!(twice.iter().zip(&ids).all(|(t, id)| *t == id * 2), "{rows}");
    }
    for (expected, value) in &held {
        let (_, found) = value.try_extract_tensor::<f32>().unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn an_output_that_stays_goes_into_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let mut session = Session::load(&path.as_path().into(), &Options::default()).unwrap();
    session.bind_on_cpu();
    session.keep_on_device("twice");
    let x = [0f32; 6];
    let first = [3i64, 5];
    let mut twice: Option<ort::value::DynValue> = None;
    let mut answer = Vec::new();
    for _ in 0..3 {
        let x = TensorRef::from_array_view(([2, 3], x.as_slice())).unwrap();
        let ids: SessionInputValue<'_> = match &twice {
            Some(value) => value.into(),
            None => TensorRef::from_array_view(([2], first.as_slice()))
                .unwrap()
                .into(),
        };
        let mut outputs = session.run(vec![("x", x.into()), ("ids", ids)]).unwrap();
        let value = outputs.remove("twice").unwrap();
        answer = value.try_extract_tensor::<i64>().unwrap().1.to_vec();
        drop(outputs);
        twice = Some(value);
    }
    assert_eq!(answer, [24, 40]);
}

#[test]
fn every_node_has_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let placement = Placement::load(&path.as_path().into(), &Options::default()).unwrap();
    assert!(placement.device.is_cpu());
    let mut operators: Vec<_> = placement
        .nodes
        .iter()
        .map(|n| n.operator.as_str())
        .collect();
    operators.sort_unstable();
    // MatMul and Add have become one, which holds for all providers.
    assert_eq!(operators, ["Add", "Gemm", "Relu"]);
    let counts = placement.counts();
    assert_eq!(counts.get("CPUExecutionProvider"), Some(&3));
    assert_eq!(counts.len(), 1);
}

#[test]
fn the_outline_of_a_graph_is_read_without_optimising_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let runtime = Runtime::get().unwrap();
    let inputs = Session::outline(runtime, &path.as_path().into()).unwrap();
    let names: Vec<_> = inputs.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["x", "ids"]);
    assert_eq!(inputs[0].shape, [None, Some(3)]);
}

#[test]
fn a_device_that_cannot_be_had_is_told_and_another_one_taken_where_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(folder.path());
    let load = |devices: &str| {
        let options = Options {
            devices: devices.parse().unwrap(),
            ..Options::default()
        };
        Session::load(&path.as_path().into(), &options)
    };
    struct Case {
        device: &'static str,
        says: &'static str,
    }
    let cases = [
        Case {
            device: "plugin:/nowhere/libonnxruntime_providers_x.so",
            says: "/nowhere/libonnxruntime_providers_x.so",
        },
        Case {
            device: "xnnpack",
            says: "xnnpack",
        },
        Case {
            device: "acl",
            says: "acl",
        },
    ];
    for case in cases {
        let Err(error) = load(case.device) else {
            panic!("{}", case.device);
        };
        assert_eq!(
            error.kind(),
            bevel_manifest::ErrorKind::Device,
            "{}",
            case.device
        );
        assert!(error.to_string().contains(case.says), "{error}");
        assert!(
            error.to_string().contains(",cpu to accept the CPU"),
            "{error}"
        );
        let session = load(&format!("{},cpu", case.device)).unwrap();
        assert!(session.device().is_cpu());
        assert_eq!(session.refused(), Some(error.to_string().as_str()));
    }
    assert_eq!(load("cpu").unwrap().refused(), None);
}
