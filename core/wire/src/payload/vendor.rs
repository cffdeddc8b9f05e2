//! Vendor ID payload (RFC 7296, 3.12).

use crate::cursor::Cursor;

/// Says by which program the peer is, or what it can beyond the standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorId {
    /// Usually a hash of a name.
    pub data: Vec<u8>,
}

impl VendorId {
    pub(crate) fn parse(body: &mut Cursor<'_>) -> Self {
        Self {
            data: body.rest().to_vec(),
        }
    }
}
