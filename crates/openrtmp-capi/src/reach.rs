//! Where a server is reached.

use std::ffi::{c_char, c_void};
use std::net::SocketAddr;

use openrtmp_core::reachable_hosts;

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, copy_out, output, text};
use crate::error::Failure;
use crate::server::{OpenrtmpServer, OpenrtmpVisitText, required, visit_texts};

/// The real address for one of "listen".
fn address_of(server: &OpenrtmpServer, index: u32) -> Result<SocketAddr, Failure> {
    let addresses = server.running()?.addresses();
    let address = addresses.get(index as usize).copied();
    address.ok_or_else(|| Failure::not_found(format!("no address {index}")))
}

/// Writes the port of the address at an index of "listen", the real one where 0 was
/// asked for. OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_STATE while it is
/// stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_port(
    server: *const OpenrtmpServer,
    index: u32,
    out_port: *mut u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_port)?) };
        out.write(address_of(server, index)?.port().into());
        Ok(())
    })
}

/// Writes the address and port at an index of "listen", for example "0.0.0.0:1935".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_address(
    server: *const OpenrtmpServer,
    index: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let address = address_of(unsafe { borrow(server)? }, index)?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(&address.to_string(), buffer, capacity, out_length) }
    })
}

/// Visits the URLs under which other devices, then this one, reach a stream
/// ("app/name", or empty for the server itself): one for each address of each network
/// interface that it listens on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_urls(
    server: *const OpenrtmpServer,
    stream: OpenrtmpStr,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream) = unsafe { (borrow(server)?.running()?, text(stream)?) };
        let visit = required(visit)?;
        let urls = server.addresses().into_iter().flat_map(|address| {
            let url = move |host| format!("rtmp://{host}:{}/{stream}", address.port());
            reachable_hosts(address).into_iter().map(url)
        });
        // SAFETY: the contract of the header.
        unsafe { visit_texts(urls, visit, user_data) };
        Ok(())
    })
}
