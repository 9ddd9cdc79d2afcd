//! The firewall: which client addresses may come.

use std::net::{IpAddr, Ipv4Addr};

use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_context::RequestContext;

impl Registry {
    /// Rejects clients whose address is not on the allow-list.
    pub(crate) fn pass_firewall(&self, call: &RequestContext) -> Result<(), ErrorResponse> {
        let Some(allowed) = &self.settings().firewall else {
            return Ok(());
        };
        let address = client_address(call);
        if allowed.contains(&address) {
            Ok(())
        } else {
            Err(ErrorResponse::not_allowed_access(address))
        }
    }
}

/// Where the request came from.
pub(crate) fn client_address(call: &RequestContext) -> IpAddr {
    call.address()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| {
            address.0.to_canonical()
        })
}
