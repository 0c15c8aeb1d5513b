//! What implementations call the weights. In patterns `{l}` is the level, 0 the finest, `{n}` the same
//! counted from 1, `{t}` its turn on the way up, counted from 1, and `{e}` and `{o}` twice that turn
//! counted from 0 and the number behind it.

use crate::source::Source;
use crate::weights::Weights;

/// The names of one implementation.
pub(super) struct Naming {
    /// The finest two convolutions, those of coarser levels, and the coarsest where that has a name of
    /// its own.
    finest: &'static str,
    down: &'static str,
    coarsest: Option<&'static str>,
    /// What doubles the sides on the way up, and the two convolutions behind it.
    up: &'static str,
    convs: &'static str,
    head: &'static str,
    /// What stands behind those for a convolution, its normalisation, and both again.
    layers: [&'static str; 4],
    /// Whether the map from the way down comes first where two are joined.
    beside_first: bool,
    /// Whether sides may be doubled without weights.
    may_interpolate: bool,
    /// Whether classes stand alone, however many there are.
    pub alone: bool,
}

const SEQUENCE: [&str; 4] = [".0", ".1", ".3", ".4"];

pub(super) static NAMINGS: [Naming; 4] = [
    // milesial/Pytorch-UNet since 2019.
    Naming {
        finest: "inc.double_conv",
        down: "down{l}.maxpool_conv.1.double_conv",
        coarsest: None,
        up: "up{t}.up",
        convs: "up{t}.conv.double_conv",
        head: "outc.conv",
        layers: SEQUENCE,
        beside_first: true,
        may_interpolate: true,
        alone: false,
    },
    // The same before that.
    Naming {
        finest: "inc.conv.conv",
        down: "down{l}.mpconv.1.conv",
        coarsest: None,
        up: "up{t}.up",
        convs: "up{t}.conv.conv",
        head: "outc.conv",
        layers: SEQUENCE,
        beside_first: true,
        may_interpolate: true,
        alone: false,
    },
    // mateuszbuda/brain-segmentation-pytorch.
    Naming {
        finest: "encoder1.enc1",
        down: "encoder{n}.enc{n}",
        coarsest: Some("bottleneck.bottleneck"),
        up: "upconv{n}",
        convs: "decoder{n}.dec{n}",
        head: "conv",
        layers: ["conv1", "norm1", "conv2", "norm2"],
        beside_first: false,
        may_interpolate: false,
        alone: true,
    },
    // aladdinpersson/Machine-Learning-Collection.
    Naming {
        finest: "downs.0.conv",
        down: "downs.{l}.conv",
        coarsest: Some("bottleneck.conv"),
        up: "ups.{e}",
        convs: "ups.{o}.conv",
        head: "final_conv",
        layers: SEQUENCE,
        beside_first: true,
        may_interpolate: false,
        alone: false,
    },
];

impl Naming {
    /// Whether a checkpoint has these names.
    pub fn names(&self, source: &Source) -> bool {
        let conv = format!("{}{}.weight", self.finest, self.layers[0]);
        let head = format!("{}.weight", self.head);
        [conv, head]
            .iter()
            .all(|name| source.checkpoint.contains(name))
    }

    /// The names of a checkpoint, as deep as its weights.
    pub fn of(&'static self, weights: &Weights<'_>) -> Names {
        let mut names = Names {
            naming: self,
            depth: usize::MAX,
        };
        let has = |level: &usize| weights.contains(&format!("{}.weight", names.down(*level)[0]));
        let levels = (0..).take_while(has).count();
        names.depth = match self.coarsest {
            Some(_) => levels,
            None => levels.saturating_sub(1),
        };
        names
    }
}

/// The names of one checkpoint.
pub(super) struct Names {
    naming: &'static Naming,
    /// How often sides are halved.
    pub depth: usize,
}

impl Names {
    /// Convolutions and normalisations of a level on the way down; that of `depth` is the coarsest.
    pub fn down(&self, level: usize) -> [String; 4] {
        let pattern = match (level, self.naming.coarsest) {
            (level, Some(coarsest)) if level == self.depth => coarsest,
            (0, _) => self.naming.finest,
            _ => self.naming.down,
        };
        self.layers(&self.filled(pattern, level))
    }

    /// What doubles the sides to those of a level, and the convolutions and normalisations behind it.
    pub fn up(&self, level: usize) -> (String, [String; 4]) {
        let convs = self.filled(self.naming.convs, level);
        (self.filled(self.naming.up, level), self.layers(&convs))
    }

    pub fn head(&self) -> &'static str {
        self.naming.head
    }

    pub fn beside_first(&self) -> bool {
        self.naming.beside_first
    }

    pub fn may_interpolate(&self) -> bool {
        self.naming.may_interpolate
    }

    fn layers(&self, of: &str) -> [String; 4] {
        self.naming.layers.map(|layer| format!("{of}{layer}"))
    }

    fn filled(&self, pattern: &str, level: usize) -> String {
        let turn = self.depth.saturating_sub(level);
        let twice = 2usize.saturating_mul(turn.saturating_sub(1));
        let values = [
            ("{l}", level),
            ("{n}", level + 1),
            ("{t}", turn),
            ("{e}", twice),
            ("{o}", twice.saturating_add(1)),
        ];
        let fill =
            |text: String, (key, value): (&str, usize)| text.replace(key, &value.to_string());
        values.into_iter().fold(pattern.to_owned(), fill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_count_as_the_implementations_do() {
        let names = |naming: usize, depth| Names {
            naming: &NAMINGS[naming],
            depth,
        };
        let cases = [
            (names(0, 4).down(0)[0].clone(), "inc.double_conv.0"),
            (
                names(0, 4).down(4)[3].clone(),
                "down4.maxpool_conv.1.double_conv.4",
            ),
            (names(0, 4).up(3).0, "up1.up"),
            (names(0, 4).up(0).1[2].clone(), "up4.conv.double_conv.3"),
            (names(2, 4).down(1)[1].clone(), "encoder2.enc2norm1"),
            (names(2, 4).down(4)[0].clone(), "bottleneck.bottleneckconv1"),
            (names(2, 4).up(3).0, "upconv4"),
            (names(2, 4).up(0).1[0].clone(), "decoder1.dec1conv1"),
            (names(3, 4).down(3)[0].clone(), "downs.3.conv.0"),
            (names(3, 4).up(3).0, "ups.0"),
            (names(3, 4).up(0).1[0].clone(), "ups.7.conv.0"),
        ];
        for (name, expected) in cases {
            assert_eq!(name, expected);
        }
    }
}
