//! Manifests of others.
//!
//! - One that is read is read again the same, and to a checker nothing of it changed.
//! - Its names can be filled in.

use openrtmp_media::dash::check::{Broken, Checker, availability};
use openrtmp_media::dash::read::Listed;

/// A manifest.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(listed) = Listed::parse(&text) else {
        return;
    };
    assert_eq!(Listed::parse(&text).as_ref(), Ok(&listed));
    let mut checker = Checker::default();
    let first = checker.read(&text);
    let again = checker.read(&text);
    let is_change = |broken: &&Broken| matches!(broken, Broken::BehindEnd | Broken::WentBack);
    assert_eq!(again.iter().find(is_change), None);
    assert!(again.len() >= first.len());
    availability(&listed, 0, 0.1);
    for representation in listed.periods.iter().flat_map(|is| &is.representations) {
        let Some(template) = &representation.template else {
            continue;
        };
        template.init(representation);
        let media = template.name(representation, 17, 900_000);
        assert_eq!(media.is_some(), template.media.is_some());
    }
}
