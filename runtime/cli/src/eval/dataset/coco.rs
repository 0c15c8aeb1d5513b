//! COCO: one JSON file with pictures, things and their classes, and a folder of pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::ErrorKind;
use hotcoco::{Annotation, Extra};

use super::files::{self, PICTURES};
use super::pictures::is_bare;
use super::table::{ending, text};
use super::{Opening, Sample, unknown};
use crate::eval::truth::{Class, Thing, Truth};
use crate::failure::fail;

const KNOWN: &str = "COCO (a .json file, or a folder with instances.json or annotations/*.json and \
                     images/), or YOLO (data.yaml, or a folder with images/ and labels/)";

/// Where pictures are looked for, seen from the folder of the dataset.
const FOLDERS: [&str; 5] = ["images", "", "val2017", "images/val2017", "val"];

impl Opening<'_> {
    /// Pictures with the things in them.
    pub fn things(&self) -> anyhow::Result<Vec<Sample>> {
        match (self.path.is_dir(), ending(self.path).as_str()) {
            (false, "json") => self.coco(self.path),
            (false, "yaml" | "yml") => self.yolo_yaml(self.path),
            (true, _) => match (coco_file(self.path)?, yaml_file(self.path)?) {
                (Some(file), _) => self.coco(&file),
                (None, Some(file)) => self.yolo_yaml(&file),
                _ if self.path.join("labels").is_dir() => self.yolo_folder(self.path),
                _ if is_bare(self.path)? => self.bare_pictures(self.path),
                _ => Err(unknown(self.path, KNOWN)),
            },
            _ => Err(unknown(self.path, KNOWN)),
        }
    }

    fn coco(&self, file: &Path) -> anyhow::Result<Vec<Sample>> {
        let dataset: hotcoco::Dataset = serde_json::from_str(&text(file)?).with_context(|| {
            fail(
                ErrorKind::Input,
                format!("{}: not COCO's annotations", file.display()),
            )
        })?;
        let place = file.display().to_string();
        let mut categories = dataset.categories;
        categories.sort_by_key(|category| category.id);
        let names: Vec<String> = categories
            .iter()
            .map(|category| category.name.clone())
            .collect();
        let classes: BTreeMap<u64, Class> = categories
            .iter()
            .map(|category| category.id)
            .zip(self.labels.all(&names, &place)?)
            .collect();
        let mut things: BTreeMap<u64, Vec<Thing>> = BTreeMap::new();
        for annotation in dataset.annotations {
            let class = classes.get(&annotation.category_id).ok_or_else(|| {
                let what = format!(
                    "{place}: annotation {} is of category {}, which is not in `categories`",
                    annotation.id, annotation.category_id
                );
                fail(ErrorKind::Input, what)
            })?;
            let thing = Thing {
                label: class.label.clone(),
                annotation: Annotation {
                    category_id: class.index as u64,
                    extra: Extra::new(),
                    ..annotation
                },
            };
            things.entry(annotation.image_id).or_default().push(thing);
        }
        let mut images = dataset.images;
        // Equal scores count in the order of pictures, which is that of their numbers.
        images.sort_by_key(|image| image.id);
        let samples = images.into_iter().map(|image| {
            let path = picture(file, &image.file_name).ok_or_else(|| {
                let what = format!(
                    "{place}: picture {} `{}` is neither beside it nor in images/",
                    image.id, image.file_name
                );
                fail(ErrorKind::Input, what)
            })?;
            let truth = Truth::Things(things.remove(&image.id).unwrap_or_default());
            let mut sample = Sample::picture(path, truth);
            if let Some(column) = &self.columns.group {
                let value = image.extra.get(column).ok_or_else(|| {
                    let what = format!("{place}: picture {} has no `{column}`", image.id);
                    fail(ErrorKind::Input, what)
                })?;
                let text = value.as_str().map(str::to_owned);
                sample.group = Some(text.unwrap_or_else(|| value.to_string()));
            }
            Ok(sample)
        });
        samples.collect()
    }
}

/// The annotations in a folder.
fn coco_file(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    for name in [
        "instances.json",
        "_annotations.coco.json",
        "annotations.json",
    ] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(Some(path));
        }
    }
    let annotations = folder.join("annotations");
    if !annotations.is_dir() {
        return Ok(None);
    }
    let mut files = files::entries(&annotations)?;
    files.retain(|path| ending(path) == "json");
    let named = |part: &str| {
        let mut files = files.iter();
        files.find(|path| {
            files::name(path).starts_with("instances") && files::name(path).contains(part)
        })
    };
    let found = named("val").or_else(|| named("")).cloned();
    match (found, &files[..]) {
        (Some(found), _) => Ok(Some(found)),
        (None, [only]) => Ok(Some(only.clone())),
        (None, []) => Ok(None),
        (None, _) => Err(unknown(
            &annotations,
            "one .json file, or instances*.json; name the file",
        )),
    }
}

fn yaml_file(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let names = ["data.yaml", "data.yml", "dataset.yaml"];
    Ok(names
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file()))
}

/// A picture beside its annotations, or in one of the folders around them.
fn picture(file: &Path, name: &str) -> Option<PathBuf> {
    let beside = file.parent().unwrap_or(Path::new(""));
    let above = beside
        .parent()
        .filter(|_| files::name(beside) == "annotations");
    let roots = [Some(beside), above];
    let paths = roots.into_iter().flatten().flat_map(|root| {
        FOLDERS
            .iter()
            .map(move |folder| root.join(folder).join(name))
    });
    let is_picture = |path: &PathBuf| PICTURES.contains(&ending(path).as_str()) && path.is_file();
    paths.into_iter().find(is_picture)
}
