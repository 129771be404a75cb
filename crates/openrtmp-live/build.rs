//! Puts what the page is made of, the files of `assets`, into the library: compressed, since
//! nearly every browser takes it so, and each once.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("assets");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut names = Vec::new();
    collect(&root, "", &mut names)?;
    // In an order that no file system decides.
    names.sort();
    let mut all = Sha256::new();
    let mut listed = String::new();
    for (number, name) in names.iter().enumerate() {
        let bytes = fs::read(root.join(name))?;
        all.update((name.len() as u64).to_be_bytes());
        all.update(name);
        all.update((bytes.len() as u64).to_be_bytes());
        all.update(&bytes);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        let file = out.join(format!("{number}.gz"));
        fs::write(&file, encoder.finish()?)?;
        writeln!(listed, "    ({name:?}, include_bytes!({file:?})),")?;
    }
    let mut digest = String::new();
    for byte in &all.finalize()[..8] {
        write!(digest, "{byte:02x}")?;
    }
    let text = format!(
        "/// Names this state of all files.\n\
         pub(super) const DIGEST: &str = {digest:?};\n\
         /// Their names, and what is in them, compressed (RFC 1952).\n\
         pub(super) const FILES: &[(&str, &[u8])] = &[\n{listed}];\n"
    );
    fs::write(out.join("assets.rs"), text)?;
    Ok(())
}

/// The files of a folder, with those of folders in it.
fn collect(folder: &Path, before: &str, names: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or("a name that is no UTF-8")?;
        let name = format!("{before}{name}");
        match entry.file_type()?.is_dir() {
            true => collect(&entry.path(), &format!("{name}/"), names)?,
            false => names.push(name),
        }
    }
    Ok(())
}
