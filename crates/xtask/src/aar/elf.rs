//! What an Android library must be, read from its headers by readelf.

use std::path::Path;
use std::process::Command;

/// Devices with pages of this size load nothing that is aligned to less.
const PAGE: u64 = 16384;

/// What every Android has, and nothing else may be asked for.
const SYSTEM: [&str; 4] = ["libc.so", "libm.so", "libdl.so", "liblog.so"];

/// What is read of a library.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Elf {
    /// The alignment of each part that is loaded.
    alignments: Vec<u64>,
    soname: Option<String>,
    pub(crate) needed: Vec<String>,
    /// It would change its own code when it is loaded, which Android refuses.
    has_text_relocations: bool,
    exports: Vec<String>,
    /// Names that it needs, but for weak ones.
    pub(crate) imports: Vec<String>,
}

pub(crate) fn read(library: &Path) -> Result<Elf, String> {
    let said = |options: &[&str]| -> Result<String, String> {
        let output = Command::new("readelf")
            .args(options)
            .arg(library)
            .env("LC_ALL", "C")
            .output();
        let output = output.map_err(|error| format!("readelf: {error}"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!("readelf {}: {}", library.display(), output.status)),
        }
    };
    Ok(parse(
        &said(&["--program-headers", "--wide"])?,
        &said(&["--dynamic", "--wide"])?,
        &said(&["--dyn-syms", "--wide"])?,
    ))
}

fn parse(headers: &str, dynamic: &str, symbols: &str) -> Elf {
    let mut elf = Elf::default();
    for line in headers
        .lines()
        .filter(|line| line.trim_start().starts_with("LOAD"))
    {
        let last = line.split_whitespace().next_back().unwrap_or_default();
        let alignment = u64::from_str_radix(last.trim_start_matches("0x"), 16);
        elf.alignments.push(alignment.unwrap_or(0));
    }
    for line in dynamic.lines() {
        let named = line
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        let name = named.map(|(name, _)| name.to_owned());
        if line.contains("(NEEDED)") {
            elf.needed.extend(name);
        } else if line.contains("(SONAME)") {
            elf.soname = name;
        } else if line.contains("TEXTREL") {
            elf.has_text_relocations = true;
        }
    }
    for line in symbols.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, _, binding, _, section, name, ..] = words[..] else {
            continue;
        };
        let name = name.split('@').next().unwrap_or(name).to_owned();
        match (section, binding) {
            ("UND", "GLOBAL") => elf.imports.push(name),
            ("UND", _) | ("Ndx", _) => {}
            (_, "GLOBAL" | "WEAK") => elf.exports.push(name),
            _ => {}
        }
    }
    elf
}

impl Elf {
    /// Why it would not be loaded, or not everywhere, or is not what it is to be: all that it
    /// gives away is in `exports`, and `allowed` are names that the oldest Android has.
    pub(crate) fn check(&self, soname: &str, exports: &[&str], allowed: &[&str]) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.alignments.is_empty() || self.alignments.iter().any(|size| size % PAGE != 0) {
            wrong.push(format!("aligned to {:?}, not {PAGE}", self.alignments));
        }
        if self.soname.as_deref() != Some(soname) {
            wrong.push(format!("called {:?}, not {soname}", self.soname));
        }
        let others = |list: &[String], known: &[&str]| -> Vec<String> {
            let other = |name: &&String| !known.contains(&name.as_str());
            list.iter().filter(other).cloned().collect()
        };
        for (what, list) in [
            ("needs", others(&self.needed, &SYSTEM)),
            ("imports", others(&self.imports, allowed)),
            ("exports", others(&self.exports, exports)),
        ] {
            if !list.is_empty() {
                wrong.push(format!("{what} {}", list.join(", ")));
            }
        }
        let exported = |name: &&&str| self.exports.iter().any(|export| export == *name);
        for name in exports.iter().filter(|name| !exported(name)) {
            wrong.push(format!("does not export {name}"));
        }
        if self.has_text_relocations {
            wrong.push("changes its code when it is loaded".to_owned());
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "
  Type           Offset   VirtAddr           PhysAddr           FileSiz  MemSiz   Flg Align
  PHDR           0x000040 0x0000000000000040 0x0000000000000040 0x0001f8 0x0001f8 R   0x8
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x1d9f4c 0x1d9f4c R   0x4000
  LOAD           0x1d9f50 0x00000000001ddf50 0x00000000001ddf50 0x3e7420 0x3e7420 R E 0x4000";
    const DYNAMIC: &str = "
 0x0000000000000001 (NEEDED)             Shared library: [libc.so]
 0x000000000000000e (SONAME)             Library soname: [libopenrtmp_jni.so]";
    const SYMBOLS: &str = "
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND mkdir
     2: 0000000000000000     0 FUNC    WEAK   DEFAULT  UND getrandom
     3: 00000000001e0000    64 FUNC    GLOBAL DEFAULT   12 JNI_OnLoad";

    fn check(headers: &str, dynamic: &str, symbols: &str) -> Vec<String> {
        parse(headers, dynamic, symbols).check("libopenrtmp_jni.so", &["JNI_OnLoad"], &["mkdir"])
    }

    #[test]
    fn a_library_as_android_takes_it_passes() {
        assert_eq!(check(HEADERS, DYNAMIC, SYMBOLS), Vec::<String>::new());
    }

    #[test]
    fn what_android_would_not_load_is_told() {
        for (headers, dynamic, symbols, told) in [
            (
                HEADERS.replace("0x4000", "0x1000"),
                DYNAMIC.to_owned(),
                SYMBOLS.to_owned(),
                "aligned",
            ),
            (
                HEADERS.to_owned(),
                DYNAMIC.replace("_jni.so", ".so"),
                SYMBOLS.to_owned(),
                "called",
            ),
            (
                HEADERS.to_owned(),
                DYNAMIC.replace("libc.so", "libssl.so"),
                SYMBOLS.to_owned(),
                "needs",
            ),
            (
                HEADERS.to_owned(),
                DYNAMIC.to_owned(),
                SYMBOLS.replace("mkdir", "memfd_create"),
                "imports",
            ),
            (
                HEADERS.to_owned(),
                DYNAMIC.to_owned(),
                SYMBOLS.replace("JNI_OnLoad", "_Unwind_Resume"),
                "exports",
            ),
            (
                HEADERS.to_owned(),
                format!("{DYNAMIC}\n 0x16 (TEXTREL) 0x0"),
                SYMBOLS.to_owned(),
                "changes",
            ),
            (
                String::new(),
                String::new(),
                String::new(),
                "does not export",
            ),
        ] {
            let wrong = check(&headers, &dynamic, &symbols);
            assert!(
                wrong.iter().any(|why| why.starts_with(told)),
                "{told}: {wrong:?}"
            );
        }
    }
}
