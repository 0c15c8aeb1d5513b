//! Answers about what is where in a picture.

use bevel::Answer;
use bevel::vision::{Detection, Instance, OrientedDetection, Posed, Region};

use super::item::nothing;
use super::{Show, table};

pub(super) fn answer(_: &mut Show, name: &str, answer: &Answer) -> Option<String> {
    Some(match answer {
        Answer::Detect(found) => {
            let rows = found.boxes.iter().map(detection).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Instances(found) => {
            let row = |b: &Instance| {
                let area = format!("{} pixels", b.mask.area());
                detection(&b.detection).into_iter().chain([area]).collect()
            };
            let rows = found.boxes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Pose(found) => {
            let row = |b: &Posed| {
                let seen = b.keypoints.iter().filter(|k| k[2] >= 0.5).count();
                let points = format!("{seen} of {} points", b.keypoints.len());
                detection(&b.detection)
                    .into_iter()
                    .chain([points])
                    .collect()
            };
            let rows = found.boxes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Obb(found) => {
            let row = |b: &OrientedDetection| {
                let angle = format!("{:.0}°", b.angle.to_degrees());
                detection(&b.detection).into_iter().chain([angle]).collect()
            };
            let rows = found.boxes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Regions(found) => {
            let row = |r: &Region| vec![format!("{:.3}", r.share), r.label.clone()];
            let rows = found.classes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        _ => return None,
    })
}

/// A picture and what is in it.
fn picture(name: &str, [width, height]: [u32; 2], rows: Vec<Vec<String>>) -> String {
    let none = nothing(&rows);
    format!("{name} {width}×{height}\n{none}{}", table(&rows))
}

fn detection(found: &Detection) -> Vec<String> {
    let [x1, y1, x2, y2] = found.xyxy.map(|v| format!("{v:.0}"));
    vec![
        format!("{:.3}", found.score),
        found.label.clone(),
        x1,
        y1,
        x2,
        y2,
    ]
}
