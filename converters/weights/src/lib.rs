//! converters/weights
