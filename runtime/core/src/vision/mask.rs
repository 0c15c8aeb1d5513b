use bevel_prep::score::Rle;
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Pixels of a picture. In JSON a COCO RLE, `{"size": [height, width], "counts": "…"}`, as pycocotools
/// reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    rle: Rle,
}

impl Mask {
    pub(super) fn new(mut rle: Rle) -> Self {
        rle.finish();
        Self { rle }
    }

    /// Height and width of the picture.
    pub fn size(&self) -> [u32; 2] {
        self.rle.size()
    }

    /// How many pixels it has.
    pub fn area(&self) -> u64 {
        self.rle.area()
    }

    /// The runs of its pixels as COCO's text of them.
    pub fn counts(&self) -> String {
        self.rle.text()
    }

    /// The runs of its pixels, counted down the columns of the picture, each column behind the one to
    /// its left: where a run begins, and how long it is.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rle.inside()
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Mask", 2)?;
        object.serialize_field("size", &self.size())?;
        object.serialize_field("counts", &self.counts())?;
        object.end()
    }
}
