//! The committed header is what the sources say, and the library exports just that.

#[path = "support/initializers.rs"]
mod initializers;
#[path = "support/nullable.rs"]
mod nullable;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use object::{Endianness, Object, ObjectSymbol};
use support::{crate_dir, include_dir, library_dir};

/// Set to write the header instead of comparing it.
const BLESS: &str = "OPENRTMP_BLESS";

#[test]
fn the_header_is_made_from_the_sources() {
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new()
        .with_crate(crate_dir())
        .with_config(config)
        .generate()
        .unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let list = fs::read_to_string(crate_dir().join("nullable.txt")).unwrap();
    let mut made = nullable::mark(&String::from_utf8(made).unwrap(), &list);
    made += &initializers::macros(&made);
    let path = include_dir().join("openrtmp.h");
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, &made).unwrap();
    }
    // Git may have given it the line ends of the machine.
    let committed = fs::read_to_string(&path).unwrap().replace('\r', "");
    assert!(
        made == committed,
        "include/openrtmp.h is not what the sources make; run the test with {BLESS}=1"
    );
}

#[test]
fn every_export_goes_through_the_boundary() {
    for (name, body) in exports() {
        assert!(
            [
                "boundary::status(",
                "boundary::value(",
                "boundary::nothing("
            ]
            .iter()
            .any(|guard| body.contains(guard)),
            "{name} can let a panic out"
        );
    }
}

#[test]
fn sources_header_and_library_export_the_same() {
    let sources: BTreeSet<String> = exports().into_iter().map(|(name, _)| name).collect();
    assert!(sources.len() >= 45, "{}", sources.len());
    let header = fs::read_to_string(include_dir().join("openrtmp.h")).unwrap();
    let code = header.lines().filter(|l| !l.trim_start().starts_with("//"));
    let declared: BTreeSet<String> = code
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '('))
        .filter_map(|word| word.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("openrtmp_") && name != "openrtmp_str_from")
        .collect();
    assert_eq!(sources, declared);
    if cfg!(target_os = "linux") {
        assert_eq!(sources, exported(&library_dir().join("libopenrtmp.so")));
    }
}

#[test]
fn the_cpp_header_offers_every_function() {
    let cpp = fs::read_to_string(include_dir().join("openrtmp.hpp")).unwrap();
    for (name, _) in exports() {
        let called = cpp.match_indices(&name).any(|(at, _)| {
            let after = cpp[at + name.len()..].chars().next();
            after.is_some_and(|c| c != '_' && !c.is_ascii_alphanumeric())
        });
        assert!(called, "openrtmp.hpp does not use {name}");
    }
}

#[test]
fn every_struct_that_is_filled_has_its_first_size_and_macro() {
    let header = fs::read_to_string(include_dir().join("openrtmp.h")).unwrap();
    for (_, text) in sources() {
        for rest in text.split("unsafe impl Versioned for Openrtmp").skip(1) {
            let Some((name, _)) = rest.split_once(' ') else {
                continue;
            };
            let macro_name = format!("#define OPENRTMP_{}_INIT", screaming(name));
            assert!(header.contains(&macro_name), "no {macro_name}");
        }
    }
}

fn screaming(name: &str) -> String {
    let mut result = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            result.push('_');
        }
        result.push(c.to_ascii_uppercase());
    }
    result
}

fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(crate_dir().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        sources.push((path.display().to_string(), text));
    }
    sources
}

/// Name and text of each function of the sources that C can call.
fn exports() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for part in text.split("#[unsafe(no_mangle)]").skip(1) {
            let (_, rest) = part
                .split_once("extern \"C\" fn ")
                .unwrap_or_else(|| panic!("{path}: not a function of C"));
            let name = rest.split('(').next().unwrap().to_owned();
            let body = rest.split("\n}\n").next().unwrap().to_owned();
            found.push((name, body));
        }
    }
    found
}

/// What the dynamic linker finds in a shared library.
fn exported(library: &Path) -> BTreeSet<String> {
    let bytes = fs::read(library).unwrap();
    let file = object::read::elf::ElfFile64::<Endianness>::parse(bytes.as_slice()).unwrap();
    file.dynamic_symbols()
        .filter(|symbol| !symbol.is_undefined())
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect()
}

#[test]
fn the_shared_library_is_named_after_the_abi() {
    let build = fs::read_to_string(crate_dir().join("build.rs")).unwrap();
    let abi = openrtmp::version::OPENRTMP_ABI_VERSION;
    assert!(build.contains(&format!("const ABI: u32 = {abi};")));
}
