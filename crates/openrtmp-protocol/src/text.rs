//! Text of peers, made fit to be shown.

use std::fmt::{self, Write};

/// Characters of a peer's text that are shown.
const CHARACTERS: usize = 128;

/// A peer's text for people to read, in a log line, an error or a terminal: what
/// would forge a line, drive a terminal or hide a part of the text is escaped as
/// `\u{202e}`, and only the first 128 characters are shown, followed by `…` if there
/// are more. Escaped are control characters (C0, DEL, C1), the line and paragraph
/// separators U+2028 and U+2029, format characters (directions, joiners, byte order
/// marks, tags), and what else shows as nothing (fillers, variation selectors).
///
/// It is not an encoding: a text that holds such an escape looks the same. Whoever
/// passes data on takes the text itself.
///
/// ```
/// use openrtmp_protocol::text::shown;
///
/// assert_eq!(shown("live/Kamera 1").to_string(), "live/Kamera 1");
/// assert_eq!(shown("cam\n[info] all is well").to_string(), r"cam\n[info] all is well");
/// assert_eq!(shown("\x1b[2J").to_string(), r"\u{1b}[2J");
/// ```
pub fn shown(text: &str) -> impl fmt::Display + fmt::Debug + '_ {
    Shown(text)
}

#[derive(Debug)]
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(CHARACTERS) {
            write_shown(f, character)?;
        }
        match characters.next() {
            Some(_) => f.write_char('…'),
            None => Ok(()),
        }
    }
}

/// The same for the whole of a text, however long it is: for what is one line whatever
/// is in it.
pub fn in_one_line(text: &str) -> impl fmt::Display + '_ {
    InOneLine(text)
}

struct InOneLine<'a>(&'a str);

impl fmt::Display for InOneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write_shown(f, c))
    }
}

fn write_shown(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\t' | '\n' | '\r' => write!(f, "{}", character.escape_default()),
        hidden if is_hidden(hidden) => write!(f, "{}", hidden.escape_unicode()),
        plain => f.write_char(plain),
    }
}

/// Whether a character acts on what is around it, or shows as nothing: categories
/// Cc, Cf, Zl and Zp of Unicode 16, and its property Default_Ignorable_Code_Point.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}'
                | '\u{34F}'
                | '\u{600}'..='\u{605}'
                | '\u{61C}'
                | '\u{6DD}'
                | '\u{70F}'
                | '\u{890}'..='\u{891}'
                | '\u{8E2}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{110BD}'
                | '\u{110CD}'
                | '\u{13430}'..='\u{1343F}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in ["", "live/cam", "Камера-1 «é» 日本語 🎥 \\n \"'", "عربي"] {
            assert_eq!(shown(text).to_string(), text);
        }
    }

    #[test]
    fn nothing_acts_on_a_terminal_or_on_the_text_around_it() {
        for (text, expected) in [
            ("a\r\nb\tc", r"a\r\nb\tc"),
            ("\0\x07\x08\x1b[31m\x7f", r"\u{0}\u{7}\u{8}\u{1b}[31m\u{7f}"),
            ("\u{85}\u{9b}2J\u{9d}", r"\u{85}\u{9b}2J\u{9d}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{202e}gnp.exe\u{202c}", r"\u{202e}gnp.exe\u{202c}"),
            ("\u{2066}a\u{2069}\u{61c}", r"\u{2066}a\u{2069}\u{61c}"),
            (
                "c\u{200b}a\u{200d}m\u{feff}",
                r"c\u{200b}a\u{200d}m\u{feff}",
            ),
            (
                "\u{ad}\u{3164}\u{e0041}\u{fe0f}",
                r"\u{ad}\u{3164}\u{e0041}\u{fe0f}",
            ),
        ] {
            assert_eq!(shown(text).to_string(), expected);
        }
        for character in '\0'..=char::MAX {
            let text = shown(character.encode_utf8(&mut [0; 4])).to_string();
            assert!(!text.chars().any(is_hidden), "{:x}", u32::from(character));
        }
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let text = |count| "é".repeat(count);
        assert_eq!(shown(&text(128)).to_string(), text(128));
        assert_eq!(shown(&text(129)).to_string(), text(128) + "…");
        assert_eq!(shown(&"\n".repeat(1000)).to_string().len(), 2 * 128 + 3);
    }
}
