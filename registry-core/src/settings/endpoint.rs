//! One of the servers that a URL leads to.

use std::net::IpAddr;

/// One of the servers that a URL leads to: a host of it, and an address of the host's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The index of the host in the URL.
    pub host: usize,
    /// The address. `None` for a socket, and for a host that is taken as it is.
    pub address: Option<IpAddr>,
    /// Whether the address was found by a name, which may lead elsewhere tomorrow.
    pub is_resolved: bool,
    /// The host, or its address, with the port. Empty if it is not known.
    pub name: String,
}
