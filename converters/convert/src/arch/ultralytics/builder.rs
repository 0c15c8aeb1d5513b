//! Feature maps of known size, and the layers that blocks are made of.

use bevel_onnx::Attribute;

use super::NAME;
use super::blocks::BLOCKS;
use super::module::Module;
use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::{Conv2d, Filter, Map, Pool};

/// Modules of one model; the largest has 2,000. Some may be there many times over.
const MODULES: usize = 1 << 16;

/// Cells of a map along an axis beyond which a model is broken: a picture has 8192 pixels at most.
const MAX_SIDE: usize = 1 << 16;

/// Classes of non-linearities; `None` does nothing.
const ACTIVATIONS: [(&str, Option<Activation>); 8] = [
    ("GELU", Some(Activation::Gelu)),
    ("Hardswish", Some(Activation::HardSwish)),
    ("Identity", None),
    ("ReLU", Some(Activation::Relu)),
    ("ReLU6", Some(Activation::Relu6)),
    ("SiLU", Some(Activation::Silu)),
    ("Sigmoid", Some(Activation::Sigmoid)),
    ("Tanh", Some(Activation::Tanh)),
];

/// A feature map and its height and width.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub map: Map,
    pub size: [usize; 2],
}

impl Plane {
    /// Whether its cells can be counted.
    fn is_sound(&self) -> bool {
        self.size.iter().all(|side| *side <= MAX_SIDE)
    }
}

/// A graph that modules are written into.
pub(super) struct Builder<'a> {
    pub net: Net<'a>,
    modules: usize,
}

impl<'a> Builder<'a> {
    pub fn new(net: Net<'a>) -> Self {
        Self { net, modules: 0 }
    }

    /// A module of a known class.
    pub fn block(&mut self, module: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
        self.modules += 1;
        if self.modules > MODULES {
            return Err(module.wrong(&format!("in a model of more than {MODULES} modules")));
        }
        let found = BLOCKS.iter().find(|(kind, _)| *kind == module.kind());
        let Some((_, build)) = found else {
            let known: Vec<_> = BLOCKS.iter().map(|(kind, _)| *kind).collect();
            return Err(Error::Unsupported {
                family: NAME,
                what: format!("`{}`, a {},", module.name, module.class().join(".")),
                next: format!("known: {}", known.join(", ")),
            });
        };
        let plane = build(self, module, x)?;
        match plane.is_sound() {
            true => Ok(plane),
            false => Err(module.wrong(&format!("that makes a map of {:?}", plane.size))),
        }
    }

    /// The module inside `module` under a name.
    pub fn inner(&mut self, module: &Module<'_>, key: &str, x: &Plane) -> Result<Plane, Error> {
        self.block(&module.part(key)?, x)
    }

    /// A layer of a model, which may read several maps.
    pub fn layer(&mut self, layer: &Module<'_>, inputs: &[Plane]) -> Result<Plane, Error> {
        match (layer.kind(), inputs) {
            ("Concat", inputs) if layer.size_or("d", 1)? == 1 => self.join(layer, inputs),
            (_, [one]) => self.block(layer, one),
            _ => Err(layer.wrong(&format!("of {} inputs", inputs.len()))),
        }
    }

    /// Modules one after the other.
    pub fn sequence(&mut self, modules: &[Module<'_>], x: &Plane) -> Result<Plane, Error> {
        let mut x = x.clone();
        for module in modules {
            x = self.block(module, &x)?;
        }
        Ok(x)
    }

    /// A `torch.nn.Conv2d` and the batch normalisation behind it.
    pub fn conv2d(
        &mut self,
        conv: &Module<'_>,
        norm: Option<&Module<'_>>,
        x: &Plane,
    ) -> Result<Plane, Error> {
        let filter = self.filter(conv, norm, x)?;
        self.filtered(conv, filter, x)
    }

    /// The weight and bias of that.
    pub fn filter(
        &mut self,
        conv: &Module<'_>,
        norm: Option<&Module<'_>>,
        x: &Plane,
    ) -> Result<Filter, Error> {
        let mut spec = Conv2d::PLAIN.groups(conv.size_or("groups", 1)?);
        if let Some(norm) = norm {
            let epsilon = norm.number("eps").filter(|e| *e > 0.0);
            let epsilon = epsilon.ok_or_else(|| norm.wrong("without `eps`"))?;
            spec = spec.norm(&norm.name, epsilon);
        }
        self.net.filter(x.map.channels, &conv.name, spec)
    }

    /// A convolution with this filter; of `conv` the rest.
    pub fn filtered(
        &mut self,
        conv: &Module<'_>,
        filter: Filter,
        x: &Plane,
    ) -> Result<Plane, Error> {
        let (stride, dilation) = (conv.square("stride")?, conv.square("dilation")?);
        let padding = conv.sizes("padding")?;
        let kernel = match filter.weight.dims[..] {
            [.., h, w] => [h, w],
            _ => [1; 2],
        };
        let window = |axis: usize| Window {
            kernel: kernel[axis],
            stride,
            padding: padding[axis],
            dilation,
        };
        let size = [0, 1].map(|axis| window(axis).count(x.size[axis]));
        let [Some(h), Some(w)] = size else {
            return Err(conv.wrong(&format!("over a map of {:?}", x.size)));
        };
        self.net.graph.set_scope(&conv.name);
        let [down, along] = padding;
        let spec = Conv2d::PLAIN
            .stride(stride)
            .dilation(dilation)
            .groups(conv.size_or("groups", 1)?)
            .padding([down, along, down, along]);
        Ok(Plane {
            map: self.net.filtered(&x.map, filter, spec),
            size: [h, w],
        })
    }

    /// A `torch.nn.MaxPool2d`.
    pub fn max_pool(&mut self, pool: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
        let plain = pool.square("dilation").unwrap_or(1) == 1 && !pool.flag("ceil_mode", false);
        if !plain {
            return Err(pool.wrong("with `dilation` or `ceil_mode`"));
        }
        let pool_of = Pool {
            kernel: pool.square("kernel_size")?,
            stride: pool.square("stride")?,
            padding: pool.square("padding")?,
            ceil: false,
        };
        self.pooled(pool, x, pool_of, Net::max_pool)
    }

    pub fn pooled(
        &mut self,
        module: &Module<'_>,
        x: &Plane,
        pool: Pool,
        by: fn(&mut Net<'a>, &Map, Pool) -> Map,
    ) -> Result<Plane, Error> {
        let window = Window {
            kernel: pool.kernel,
            stride: pool.stride,
            padding: pool.padding,
            dilation: 1,
        };
        let [Some(h), Some(w)] = x.size.map(|n| window.count(n)) else {
            return Err(module.wrong(&format!("over a map of {:?}", x.size)));
        };
        self.net.graph.set_scope(&module.name);
        Ok(Plane {
            map: by(&mut self.net, &x.map, pool),
            size: [h, w],
        })
    }

    /// The non-linearity under `act`, where there is one.
    pub fn activated(&mut self, module: &Module<'_>, x: Plane) -> Result<Plane, Error> {
        let Some(act) = module.child("act")? else {
            return Ok(x);
        };
        let row = ACTIVATIONS.iter().find(|(kind, _)| *kind == act.kind());
        let Some((_, activation)) = row else {
            let known = ACTIVATIONS.map(|(kind, _)| kind).join(", ");
            return Err(Error::Unsupported {
                family: NAME,
                what: format!("the activation `{}`, a {},", act.name, act.kind()),
                next: format!("known: {known}"),
            });
        };
        Ok(match activation {
            Some(activation) => self.with(&x, |net, map| net.activated(map, *activation)),
            None => x,
        })
    }

    /// A layer that leaves the size as it is.
    pub fn with(&mut self, x: &Plane, layer: impl FnOnce(&mut Net<'a>, &Map) -> Map) -> Plane {
        Plane {
            map: layer(&mut self.net, &x.map),
            size: x.size,
        }
    }

    /// Two maps added up.
    pub fn add(&mut self, module: &Module<'_>, a: &Plane, b: &Plane) -> Result<Plane, Error> {
        let of = |x: &Plane| (x.map.channels, x.size);
        if of(a) != of(b) {
            let what = format!("that adds maps of {:?} and {:?}", of(a), of(b));
            return Err(module.wrong(&what));
        }
        self.net.graph.set_scope(&module.name);
        Ok(self.with(a, |net, map| net.with("Add", map, &[&b.map.value])))
    }

    /// Maps behind each other, channel by channel.
    pub fn join(&mut self, module: &Module<'_>, planes: &[Plane]) -> Result<Plane, Error> {
        let size = planes.first().map_or([0; 2], |plane| plane.size);
        if let Some(other) = planes.iter().find(|plane| plane.size != size) {
            let what = format!("that joins maps of {size:?} and {:?}", other.size);
            return Err(module.wrong(&what));
        }
        let maps: Vec<&Map> = planes.iter().map(|plane| &plane.map).collect();
        self.net.graph.set_scope(&module.name);
        Ok(Plane {
            map: self.net.join(&maps),
            size,
        })
    }

    /// The second half of the channels.
    pub fn second_half(&mut self, module: &Module<'_>, x: &Plane) -> Plane {
        let channels = x.map.channels / 2;
        self.net.graph.set_scope(&module.name);
        let [start, end] = [channels, 2 * channels].map(|n| self.net.i64s(&[n as i64]));
        let axis = self.net.i64s(&[1]);
        let inputs = [x.map.value.as_str(), &start, &end, &axis];
        Plane {
            map: Map {
                value: self.net.graph.node("Slice", &inputs, []),
                channels,
            },
            size: x.size,
        }
    }

    /// Both halves of the channels.
    pub fn halves(&mut self, module: &Module<'_>, x: &Plane) -> [Plane; 2] {
        let channels = x.map.channels / 2;
        self.net.graph.set_scope(&module.name);
        let attributes: [(_, Attribute); 2] = [("axis", 1.into()), ("num_outputs", 2.into())];
        let values: [String; 2] = self.net.graph.node_of("Split", &[&x.map.value], attributes);
        values.map(|value| Plane {
            map: Map { value, channels },
            size: x.size,
        })
    }
}

/// What slides over one axis of a map.
#[derive(Debug, Clone, Copy)]
struct Window {
    kernel: usize,
    stride: usize,
    /// Zeros on either side.
    padding: usize,
    dilation: usize,
}

impl Window {
    /// At how many places it stands; `None` where it fits nowhere.
    fn count(self, size: usize) -> Option<usize> {
        let reach = self.kernel.checked_sub(1)?.checked_mul(self.dilation)?;
        let room = size.checked_add(2 * self.padding)?.checked_sub(reach + 1)?;
        Some(room.checked_div(self.stride)? + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_map_can_be_counted() {
        let cases = [
            ([0, 0], true),
            ([80, 120], true),
            ([MAX_SIDE, MAX_SIDE], true),
            ([MAX_SIDE + 1, 1], false),
            // What upsampling of upsampling comes to.
            ([1, usize::MAX], false),
        ];
        for (size, expected) in cases {
            let map = Map {
                value: "x".into(),
                channels: 1,
            };
            assert_eq!(Plane { map, size }.is_sound(), expected, "{size:?}");
        }
    }
}
