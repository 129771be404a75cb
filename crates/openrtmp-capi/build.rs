//! Gives the shared library the name that programs record when they link it: with
//! the version of the binary interface, so that two may stand side by side.

/// `OPENRTMP_ABI_VERSION`; `tests/header.rs` compares the two.
const ABI: u32 = 2;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let name = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "freebsd" | "netbsd" | "openbsd") => format!("-soname,libopenrtmp.so.{ABI}"),
        // Android loads by plain names only.
        Ok("android") => "-soname,libopenrtmp.so".to_owned(),
        Ok("macos") => format!("-install_name,@rpath/libopenrtmp.{ABI}.dylib"),
        _ => return,
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,{name}");
}
