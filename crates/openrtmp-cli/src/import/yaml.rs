//! YAML with the lines on which things stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Levels of values in values.
const DEEPEST: usize = 16;

/// Values that aliases may stand for.
const ALIAS_EVENTS: usize = 4096;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// As text, whatever it is; nothing is the empty text.
    Scalar(String),
    List(Vec<Node>),
    /// In the order in which they stand.
    Map(Vec<Member>),
}

/// A value by its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    /// Where it begins, from 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: Node,
}

impl Node {
    /// What it is if it is no list and no map.
    pub(super) fn text(&self) -> &str {
        match self {
            Node::Scalar(text) => text,
            Node::List(_) | Node::Map(_) => "",
        }
    }

    pub(super) fn list(&self) -> &[Node] {
        match self {
            Node::List(list) => list,
            Node::Scalar(_) | Node::Map(_) => &[],
        }
    }

    pub(super) fn members(&self) -> &[Member] {
        match self {
            Node::Map(members) => members,
            Node::Scalar(_) | Node::List(_) => &[],
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.name == name)
    }

    pub(super) fn text_of(&self, name: &str) -> &str {
        self.get(name).map_or("", |member| member.value.text())
    }

    /// `true`, or as YAML 1.1 has it.
    pub(super) fn is_on(&self) -> bool {
        ["true", "yes", "on"].contains(&self.text())
    }

    /// It says nothing, or no.
    pub(super) fn is_off(&self) -> bool {
        match self {
            Node::Scalar(text) => ["", "false", "no", "off", "0"].contains(&text.as_str()),
            Node::List(list) => list.is_empty(),
            Node::Map(members) => members.is_empty(),
        }
    }
}

/// Reads a whole file. The error names a line, and quotes nothing: keys may stand there.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIAS_EVENTS,
        },
    };
    let read: Result<Node, _> = serde_saphyr::from_str_with_options(text, options);
    match read {
        Ok(node @ Node::Map(_)) => Ok(node),
        Ok(_) => Err("a map of names and values is expected".to_owned()),
        Err(error) => {
            let line = error.location().map(|l| l.line()).filter(|line| *line > 0);
            let place = line.map_or(String::new(), |line| format!("line {line}: "));
            Err(format!("{place}not YAML that is understood"))
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Node, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Scalar(text.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar(String::new()))
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = from.next_element()? {
                    list.push(element);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = from.next_key::<Spanned<String>>()? {
                    members.push(Member {
                        line: usize::try_from(name.referenced.line()).unwrap_or_default(),
                        name: name.value,
                        value: from.next_value()?,
                    });
                }
                Ok(Node::Map(members))
            }
        }
        from.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_lines() {
        let text = "# x\nrtmp: yes\npaths:\n  cam:\n    source: rtmp://h/a/b\n  all:\n\
                    list: [1, true, a]\nnothing:\n";
        let read = parse(text).expect("YAML");
        let lines: Vec<usize> = read.members().iter().map(|m| m.line).collect();
        assert_eq!(lines, [2, 3, 7, 8]);
        assert!(read.get("rtmp").is_some_and(|m| m.value.is_on()));
        let paths = &read.get("paths").expect("there").value;
        assert_eq!(
            paths.members()[0].value.get("source").expect("there").line,
            5
        );
        assert!(paths.members()[1].value.is_off());
        let list = read.get("list").expect("there").value.list();
        assert_eq!(
            list.iter().map(Node::text).collect::<Vec<_>>(),
            ["1", "true", "a"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_and_bounded() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n\
                    c: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\n\
                    e: [*d,*d,*d,*d,*d,*d,*d,*d]\n";
        let deep = format!("a: {}", "[".repeat(100_000));
        for text in ["a: [", "a: 1\na: 2\n", "- a\n", "7", bomb, &deep] {
            assert!(parse(text).is_err(), "{text:.40}");
        }
        let error = parse("a: 1\nb: [SECRET\n").expect_err("wrong");
        assert!(!error.contains("SECRET"), "{error}");
    }
}
