//! runtime/prep
