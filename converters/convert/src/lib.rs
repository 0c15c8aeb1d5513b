//! converters/convert
