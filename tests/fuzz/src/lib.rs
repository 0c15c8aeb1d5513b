//! What every target does with its input.

use std::path::Path;

use bevel_weights::Checkpoint;
use bytes::Bytes;

/// No file can stand beside this one, so an index of shards finds none.
const PATH: &str = "/dev/null/checkpoint";

/// Opens a checkpoint and reads every tensor. Errors are fine; panics, leaks, hangs and memory that
/// grows beyond the input are not.
pub fn read(data: &[u8]) {
    let Ok(checkpoint) = Checkpoint::from_bytes(Path::new(PATH), Bytes::copy_from_slice(data))
    else {
        return;
    };
    for name in checkpoint.names() {
        let _ = checkpoint.bytes(name);
        let _ = checkpoint.f32(name);
    }
}
