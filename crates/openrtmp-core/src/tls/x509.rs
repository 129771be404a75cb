//! What this server has to know of a certificate besides what rustls checks: how long it
//! is good, whose it is, and its key (RFC 5280 section 4.1).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::access::PeerCertificate;
use crate::config::pin::Pin;

/// A certificate, read. None of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// The subject's common name, if it has one.
    pub(crate) common_name: Option<String>,
    /// Names of hosts, addresses, mailboxes and URIs: its subject alternative names.
    pub(crate) names: Vec<String>,
    /// Of its key.
    pub(crate) pin: Pin,
    /// Bytes of its key, as it stands there.
    pub(crate) key_bytes: usize,
    /// Its key is for RSA.
    pub(crate) is_rsa: bool,
}

/// Names that are taken from a certificate.
const MOST_NAMES: usize = 64;

/// Bytes of a name.
const LONGEST_NAME: usize = 1024;

/// Tags (X.690 section 8.1.2), of universal class if nothing else is said.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(super) const UTF8_STRING: u8 = 0x0C;
    pub(super) const PRINTABLE_STRING: u8 = 0x13;
    pub(super) const IA5_STRING: u8 = 0x16;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const BOOLEAN: u8 = 0x01;
    /// Context-specific, constructed: the version, and the extensions.
    pub(super) const VERSION: u8 = 0xA0;
    pub(super) const EXTENSIONS: u8 = 0xA3;
    /// Context-specific, of GeneralName.
    pub(super) const MAILBOX: u8 = 0x81;
    pub(super) const HOST: u8 = 0x82;
    pub(super) const URI: u8 = 0x86;
    pub(super) const ADDRESS: u8 = 0x87;
}

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1D, 0x11];
const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

impl Certificate {
    /// Reads a certificate. `None` if it is none.
    pub(crate) fn read(der: &[u8]) -> Option<Certificate> {
        let certificate = Der(der).take(tag::SEQUENCE)?;
        let mut body = Der(Der(certificate).take(tag::SEQUENCE)?);
        body.skip_if(tag::VERSION)?;
        body.take(tag::INTEGER)?;
        body.take(tag::SEQUENCE)?;
        let _issuer = body.take(tag::SEQUENCE)?;
        let mut validity = Der(body.take(tag::SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = body.take(tag::SEQUENCE)?;
        let key = body.take_whole(tag::SEQUENCE)?;
        let algorithm = Der(Der(key).take(tag::SEQUENCE)?).take(tag::SEQUENCE)?;
        let algorithm = Der(algorithm).take(tag::OBJECT_IDENTIFIER)?;
        Some(Certificate {
            not_before,
            not_after,
            common_name: common_name(subject),
            names: alternative_names(body).unwrap_or_default(),
            pin: pin_of(key),
            key_bytes: key.len(),
            is_rsa: algorithm == RSA_ENCRYPTION,
        })
    }

    /// From the first moment at which it is good to the last.
    pub(crate) fn life(&self) -> Duration {
        self.not_after
            .duration_since(self.not_before)
            .unwrap_or_default()
    }

    /// As it is told of whoever showed it.
    pub(crate) fn into_peer(self) -> PeerCertificate {
        PeerCertificate {
            common_name: self.common_name,
            names: self.names,
            pin: self.pin.to_string(),
        }
    }

    /// Whose it is, for people.
    pub(crate) fn label(&self) -> String {
        let first = self.names.first().or(self.common_name.as_ref());
        first.map_or("without a name", String::as_str).to_owned()
    }
}

/// The pin of a key, as it stands in a certificate.
pub(super) fn pin_of(key: &[u8]) -> Pin {
    Pin(Sha256::digest(key).into())
}

fn common_name(subject: &[u8]) -> Option<String> {
    let mut sets = Der(subject);
    while let Some(set) = sets.take(tag::SET) {
        let mut attribute = Der(Der(set).take(tag::SEQUENCE)?);
        if attribute.take(tag::OBJECT_IDENTIFIER)? == COMMON_NAME {
            let (tag, text) = attribute.next()?;
            let is_text = [tag::UTF8_STRING, tag::PRINTABLE_STRING, tag::IA5_STRING].contains(&tag);
            return is_text.then(|| name(text)).flatten();
        }
    }
    None
}

fn alternative_names(mut body: Der<'_>) -> Option<Vec<String>> {
    // Between the key and the extensions there may be two identifiers, which nobody uses.
    let extensions = loop {
        let (tag, content) = body.next()?;
        if tag == tag::EXTENSIONS {
            break Der(content).take(tag::SEQUENCE)?;
        }
    };
    let mut extensions = Der(extensions);
    while let Some(extension) = extensions.take(tag::SEQUENCE) {
        let mut extension = Der(extension);
        if extension.take(tag::OBJECT_IDENTIFIER)? != SUBJECT_ALTERNATIVE_NAME {
            continue;
        }
        extension.skip_if(tag::BOOLEAN)?;
        let names = Der(extension.take(tag::OCTET_STRING)?).take(tag::SEQUENCE)?;
        let mut names = Der(names);
        let mut found = Vec::new();
        while let Some((tag, content)) = names.next() {
            let read = match tag {
                tag::HOST | tag::MAILBOX | tag::URI => name(content),
                tag::ADDRESS => address(content).map(|address| address.to_string()),
                _ => None,
            };
            found.extend(read);
            if found.len() == MOST_NAMES {
                break;
            }
        }
        return Some(found);
    }
    None
}

/// A name fit to be shown: characters that are visible, and not too many.
fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_fit = !text.is_empty() && text.len() <= LONGEST_NAME;
    (is_fit && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Elements, one after the other, in the distinguished encoding (X.690 section 10).
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            // Up to four bytes of length.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                let length = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut after = *self;
        let (_, content) = after.next().filter(|(found, _)| *found == tag)?;
        *self = after;
        Some(content)
    }

    /// The next element with tag and length, if it has this tag.
    fn take_whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.take(tag)?;
        before.get(..before.len() - self.0.len())
    }

    /// Steps over the next element if it has this tag. There has to be one.
    fn skip_if(&mut self, tag: u8) -> Option<()> {
        if *self.0.first()? == tag {
            self.next()?;
        }
        Some(())
    }

    /// A time, to the second and in UTC (RFC 5280 section 4.1.2.5).
    fn time(&mut self) -> Option<SystemTime> {
        let (tag, text) = self.next()?;
        let digits = text.strip_suffix(b"Z")?;
        let (year, rest) = digits.split_at_checked(match tag {
            tag::UTC_TIME => 2,
            tag::GENERALIZED_TIME => 4,
            _ => return None,
        })?;
        let year = match (tag, number(year)?) {
            (tag::UTC_TIME, year @ 50..) => 1900 + year,
            (tag::UTC_TIME, year) => 2000 + year,
            (_, year) => year,
        };
        let mut pairs = rest.chunks(2).map(number);
        let mut next = || pairs.next().flatten();
        let (month, day) = (next()?, next()?);
        let (hour, minute, second) = (next()?, next()?, next()?);
        let in_range = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if rest.len() != 10 || !in_range {
            return None;
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        let since = Duration::from_secs(seconds.unsigned_abs());
        match seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(since),
            false => SystemTime::UNIX_EPOCH.checked_add(since),
        }
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let add = |sum: i64, digit: &u8| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    };
    let value = digits.iter().try_fold(0, add)?;
    (!digits.is_empty()).then_some(value)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years begin in March here, so
/// that the odd day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn made(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 1);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Camera 7");
        let key = rcgen::KeyPair::generate().expect("a key");
        params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec()
    }

    #[test]
    fn life_names_and_key_are_read() {
        let der = made(&["example.org", "10.0.0.1", "::1"]);
        let certificate = Certificate::read(&der).expect("a certificate");
        // As `date -d 2024-02-29 +%s` and the other have it; the first is a UTCTime, the
        // second a GeneralizedTime.
        assert_eq!(certificate.not_before, at(1_709_164_800));
        assert_eq!(certificate.not_after, at(2_556_144_000));
        assert_eq!(certificate.common_name.as_deref(), Some("Camera 7"));
        assert_eq!(certificate.names, ["example.org", "10.0.0.1", "::1"]);
        assert!(!certificate.is_rsa);
        // P-256: RFC 5480 section 2, 91 bytes in all.
        assert_eq!(certificate.key_bytes, 91);
    }

    #[test]
    fn what_is_no_certificate_is_none_and_no_panic() {
        let der = made(&["example.org"]);
        for end in 0..der.len() {
            assert_eq!(Certificate::read(&der[..end]), None);
        }
        for at in 0..der.len() {
            for value in [0, 1, 0x7F, 0x80, 0x84, 0xFF] {
                let mut changed = der.clone();
                changed[at] = value;
                // Whatever it says of itself.
                let _ = Certificate::read(&changed);
            }
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for ((year, month, day), expected) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2100, 3, 1), 47_541),
            ((9999, 12, 31), 2_932_896),
        ] {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
        }
    }
}
