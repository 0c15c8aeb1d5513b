use crate::arch::Family;
pub(super) const FAMILY: Family = Family {
    name: "efficientnet-lite",
    recognises: |_| false,
    build: |_, _| Err(crate::Error::Request("todo".into())),
};
