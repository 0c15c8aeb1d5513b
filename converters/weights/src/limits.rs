//! What a hostile file may cost. A file that asks for more is refused with [`Error::Limit`]; every
//! limit is far above what real checkpoints need, and together they keep memory below 2 GiB.
//!
//! [`Error::Limit`]: crate::Error::Limit

/// Bytes of one pickle. Weights are not in it: 10,000 tensors with their names take 2 MB.
pub(crate) const PICKLE_BYTES: usize = 128 << 20;

/// Objects of one pickle. A tensor takes ten, a name two.
pub(crate) const OBJECTS: usize = 2 << 20;

/// Values that a pickle may ever push or copy: what its lists, tuples and dictionaries hold.
pub(crate) const VALUES: usize = 16 << 20;

/// Values on the stack at a time. Python writes lists and dictionaries in batches of a thousand;
/// only a tuple is there whole.
pub(crate) const STACK: usize = 1 << 20;

/// Slots of the memo, which Python numbers without gaps.
pub(crate) const MEMO: usize = OBJECTS;

/// Modules or dictionaries inside each other on the way to a tensor.
pub(crate) const DEPTH: usize = 128;

/// Steps of the search for tensors: an entry that is looked at, a byte of a name. Dictionaries that
/// are shared or that contain themselves make an endless tree of a small file.
pub(crate) const SEARCH: usize = 32 << 20;

/// Dimensions of a tensor. PyTorch allows 64; no weight has more than 8.
pub(crate) const DIMENSIONS: usize = 16;

/// Bytes of a tensor that says more than its storage holds, by a stride of zero. A 4096 x 4096 f32
/// attention mask from `expand` fits.
pub(crate) const EXPANDED_BYTES: usize = 64 << 20;

/// Bytes of a checkpoint that has to be unpacked. Policies of stable-baselines3 have a few MB.
pub(crate) const UNPACKED_BYTES: usize = 256 << 20;

/// Bytes of JSON about a model. That of stable-baselines3 may hold the last observations.
pub(crate) const SETTINGS_BYTES: usize = 16 << 20;
