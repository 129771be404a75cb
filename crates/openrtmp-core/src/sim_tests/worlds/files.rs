//! Reads what was recorded, after FLV 10.1, annex E.2 to E.4.1.

use std::path::Path;

use openrtmp_protocol::session::MediaKind;

use super::lives::{Class, Lives};
use super::plan::FETCHED_PLACE;
use super::witness::{Broken, Witness, broken};

/// A file holds whole tags (but for the last, if the disk was full), and in them
/// what was published without a gap. `names` are the forms that the name of each stream
/// may have in a path.
pub(super) fn judge(
    path: &Path,
    bytes: &[u8],
    names: &[[String; 2]],
    lives: &Lives,
    lenient: bool,
    whole: bool,
) -> Result<(), Broken> {
    // Windows joins folders with another sign than streams' names have.
    let shown = path.display().to_string().replace('\\', "/");
    let is_of = |forms: &[String; 2]| forms.iter().any(|form| shown.contains(form));
    let Some(stream) = names.iter().position(is_of) else {
        return broken("files", format!("{shown} is of no stream"));
    };
    let mut witness = Witness::lenient(lenient);
    witness.no_metadata = true;
    let Some(mut rest) = bytes.get(13..) else {
        return if whole {
            broken("files", format!("{shown} has no header"))
        } else {
            Ok(())
        };
    };
    if bytes[..4] != *b"FLV\x01" {
        return broken("files", format!("{shown} is no FLV file"));
    }
    let mut metadata = true;
    // Headers in front, which may be of a publisher before the present one.
    let mut headers: Option<Vec<(Class, &[u8])>> = Some(Vec::new());
    while !rest.is_empty() {
        let Some((kind, timestamp, payload, after)) = tag(rest) else {
            return if whole {
                broken("files", format!("{shown} ends in a tag"))
            } else {
                Ok(())
            };
        };
        rest = after;
        // The recorder's own metadata.
        if std::mem::take(&mut metadata) {
            continue;
        }
        let Some(class) = Class::of(kind, payload) else {
            return broken("files", format!("{shown} has an empty tag"));
        };
        if let Some(headers) = &mut headers
            && !class.is_frame()
        {
            headers.push((class, payload));
            continue;
        }
        let life = lives.find(class, payload, 0).map(|(life, _)| life);
        // What it begins with after a connection between servers broke may be there
        // already, and no tag tells where that is: taps judge the order.
        if stream == FETCHED_PLACE {
            match life {
                Some(life) if lives.life(life).stream == stream => continue,
                _ => return broken("never sent", format!("{class:?} in {shown}")),
            }
        }
        let time = Some(timestamp);
        let taken = headers
            .take()
            .into_iter()
            .flatten()
            .filter(|(class, payload)| lives.find(*class, payload, 0).map(|(l, _)| l) == life)
            .map(|(class, payload)| (class, None, payload))
            .chain([(class, time.filter(|_| class.is_frame()), payload)])
            .try_for_each(|(class, time, payload)| {
                witness.take(lives, stream, class, time, payload, 0)
            });
        taken.map_err(|e| Broken {
            what: format!("{shown}: {}", e.what),
            ..e
        })?;
    }
    Ok(())
}

/// One tag, with the size behind it, and what follows.
fn tag(bytes: &[u8]) -> Option<(MediaKind, u32, &[u8], &[u8])> {
    let head = bytes.get(..11)?;
    let kind = match head[0] {
        8 => MediaKind::Audio,
        9 => MediaKind::Video,
        _ => MediaKind::Data,
    };
    let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
    let timestamp = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
    let payload = bytes.get(11..11 + size)?;
    let trailer = bytes.get(11 + size..15 + size)?;
    let after = &bytes[15 + size..];
    (trailer == (11 + size as u32).to_be_bytes()).then_some((kind, timestamp, payload, after))
}
