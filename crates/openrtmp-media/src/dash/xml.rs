//! XML written: elements and attributes, which is all that a manifest has.

use std::fmt::{Display, Write};

/// A document that grows.
#[derive(Debug)]
pub(super) struct Xml {
    out: String,
    open: Vec<&'static str>,
    /// The last start tag can still become an empty element.
    is_bare: bool,
}

impl Xml {
    pub(super) fn new() -> Xml {
        Xml {
            out: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"),
            open: Vec::new(),
            is_bare: false,
        }
    }

    /// Begins an element; what follows is in it until [`close`](Xml::close).
    pub(super) fn open(&mut self, name: &'static str) {
        self.end_tag();
        let depth = self.open.len() * 2;
        let _ = write!(self.out, "{:depth$}<{name}", "");
        self.open.push(name);
        self.is_bare = true;
    }

    /// An attribute of the element that was begun last, in which nothing is yet.
    pub(super) fn attribute(&mut self, name: &str, value: impl Display) {
        debug_assert!(self.is_bare, "{name} is behind what is in its element");
        let _ = write!(self.out, " {name}=\"{}\"", escaped(&value.to_string()));
    }

    /// Ends the element that is open.
    pub(super) fn close(&mut self) {
        let Some(name) = self.open.pop() else { return };
        if std::mem::take(&mut self.is_bare) {
            self.out.push_str("/>\n");
        } else {
            let depth = self.open.len() * 2;
            let _ = writeln!(self.out, "{:depth$}</{name}>", "");
        }
    }

    /// An element with attributes and nothing in it.
    pub(super) fn empty(&mut self, name: &'static str, attributes: &[(&str, &dyn Display)]) {
        self.open(name);
        for (name, value) in attributes {
            self.attribute(name, value);
        }
        self.close();
    }

    /// An element with text in it.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.end_tag();
        let depth = self.open.len() * 2;
        let text = escaped(text);
        let _ = writeln!(self.out, "{:depth$}<{name}>{text}</{name}>", "");
    }

    /// The document, everything closed.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.is_bare) {
            self.out.push_str(">\n");
        }
    }
}

/// The text of an attribute, or of an element (XML 1.0, 2.3). White space but blanks is told by number, or it
/// would be read as blanks (3.3.3); characters that XML does not have (2.2) are left out.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\x1F' | '\u{FFFE}' | '\u{FFFF}' => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_nest_and_attributes_are_escaped() {
        let mut xml = Xml::new();
        xml.open("a");
        xml.attribute("x", "<\"&\u{7}\n>");
        xml.open("b");
        xml.empty("c", &[("n", &1), ("m", &"é")]);
        xml.close();
        xml.open("d");
        assert_eq!(
            xml.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <a x=\"&lt;&quot;&amp;&#10;&gt;\">\n  <b>\n    <c n=\"1\" m=\"é\"/>\n  </b>\n  <d/>\n</a>\n"
        );
    }
}
