//! Settings of other servers, read as ours: the common part, and a word about every line
//! that is not.

mod block;
mod draft;
mod mediamtx;
mod nginx;
mod srs;
mod yaml;

use std::path::Path;

use self::block::Directive;
pub(crate) use self::draft::Imported;

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// nginx with its RTMP module
    Nginx,
    /// SRS
    Srs,
    /// MediaMTX
    Mediamtx,
}

/// Reads the settings of another server.
pub(crate) fn import(file: &Path, text: &str, kind: Option<Kind>) -> Result<Imported, String> {
    let is_yaml = || openrtmp_core::Format::of(file) == openrtmp_core::Format::Yaml;
    let draft = match kind {
        Some(Kind::Mediamtx) => mediamtx::import(&yaml::parse(text)?),
        None if is_yaml() => mediamtx::import(&yaml::parse(text)?),
        Some(Kind::Nginx) => nginx::import(&block::parse(text)?),
        Some(Kind::Srs) => srs::import(&block::parse(text)?),
        None => {
            let directives = block::parse(text)?;
            match kind_of(&directives) {
                Some(Kind::Nginx) => nginx::import(&directives),
                Some(_) => srs::import(&directives),
                None => {
                    let what = "neither nginx with an rtmp block, nor SRS, by the look of it";
                    return Err(format!("{what}: say --from nginx, srs or mediamtx"));
                }
            }
        }
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    draft.finish(&name)
}

/// nginx has servers in its `rtmp` block; SRS has hosts, or its port, outside.
fn kind_of(directives: &[Directive]) -> Option<Kind> {
    let mut rtmp = directives.iter().filter(|d| d.name == "rtmp");
    if rtmp.any(|d| d.block().iter().any(|inner| inner.name == "server")) {
        return Some(Kind::Nginx);
    }
    let of_srs = |d: &Directive| ["vhost", "listen", "rtmp"].contains(&d.name.as_str());
    directives.iter().any(of_srs).then_some(Kind::Srs)
}
