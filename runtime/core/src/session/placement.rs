//! What each node of a graph runs on.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr;

use ort::AsPointer;
use serde::Serialize;

use crate::bundle::ModelFile;
use crate::device::Device;
use crate::error::{Error, Result, internal};
use crate::pipeline::Options;
use crate::session::Session;

/// The provider of every node of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// The device that was asked for and could be had.
    pub device: Device,
    /// By provider, in the order in which the providers took them.
    pub nodes: Vec<PlacedNode>,
}

/// A node and what it runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlacedNode {
    /// Its name in the graph, which may be empty.
    pub name: String,
    /// Its operator, with the domain before it where that is not ONNX's: `com.microsoft.Gelu`.
    pub operator: String,
    /// What ONNX Runtime calls the provider.
    pub provider: String,
}

impl Placement {
    /// Loads a graph as [`Session::load`] does and asks what its nodes were placed on. The nodes are those
    /// that ONNX Runtime shows to providers, after the optimisations that hold for all of them: constants are folded, and
    /// what a provider then makes of its nodes, such as one engine of all of them, does not show.
    ///
    /// # Errors
    /// Those of [`Session::load`].
    pub fn load(file: &ModelFile, options: &Options) -> Result<Self> {
        let session = Session::load_recorded(file, options)?;
        let nodes = assigned(&session.inner).map_err(internal)?;
        Ok(Self {
            device: session.device().clone(),
            nodes,
        })
    }

    /// How many nodes each provider has.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for node in &self.nodes {
            *counts.entry(node.provider.as_str()).or_insert(0) += 1;
        }
        counts
    }
}

/// Fails where a graph that was loaded for a device has no node there.
///
/// # Errors
/// [`Error::Device`]: the CPU does all of it.
pub(super) fn takes_part(
    session: &ort::session::Session,
    device: &Device,
    path: &Path,
) -> Result<()> {
    // Where ONNX Runtime does not tell, the device has the benefit of the doubt.
    let nodes = assigned(session).unwrap_or_default();
    let cpu = Device::cpu();
    let on_cpu = |node: &PlacedNode| node.provider == cpu.provider().onnxruntime;
    if nodes.is_empty() || !nodes.iter().all(on_cpu) {
        return Ok(());
    }
    Err(Error::Device(format!(
        "device {device} takes no node of {}, and the CPU would do all of it; many accelerators want \
         fixed shapes and int8, and say in ONNX Runtime's log what they miss",
        path.display()
    )))
}

// The `ort` crate has no call for it.
#[allow(unsafe_code)]
fn assigned(session: &ort::session::Session) -> ort::Result<Vec<PlacedNode>> {
    let api = ort::api();
    let mut nodes = Vec::new();
    // SAFETY: the session lives while the pointers to its parts are used, each array is as long as ONNX
    // Runtime says, and what it points to is only read. Texts are copied out.
    unsafe {
        let (mut parts, mut count) = (ptr::null(), 0);
        let asked = (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut parts, &mut count);
        ort::Error::result_from_status(asked)?;
        for part in 0..count {
            let part = *parts.add(part);
            let mut provider = ptr::null();
            ort::Error::result_from_status((api.EpAssignedSubgraph_GetEpName)(
                part,
                &mut provider,
            ))?;
            let provider = text(provider);
            let (mut placed, mut count) = (ptr::null(), 0);
            let asked = (api.EpAssignedSubgraph_GetNodes)(part, &mut placed, &mut count);
            ort::Error::result_from_status(asked)?;
            for node in 0..count {
                let node = *placed.add(node);
                let (mut name, mut domain, mut operator) = (ptr::null(), ptr::null(), ptr::null());
                ort::Error::result_from_status((api.EpAssignedNode_GetName)(node, &mut name))?;
                ort::Error::result_from_status((api.EpAssignedNode_GetDomain)(node, &mut domain))?;
                let asked = (api.EpAssignedNode_GetOperatorType)(node, &mut operator);
                ort::Error::result_from_status(asked)?;
                let (domain, operator) = (text(domain), text(operator));
                nodes.push(PlacedNode {
                    name: text(name),
                    operator: match domain.as_str() {
                        "" | "ai.onnx" => operator,
                        domain => format!("{domain}.{operator}"),
                    },
                    provider: provider.clone(),
                });
            }
        }
    }
    Ok(nodes)
}

/// A text of ONNX Runtime's, copied.
///
/// # Safety
/// It is null or ends at a NUL.
#[allow(unsafe_code)]
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller sees that it ends.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
