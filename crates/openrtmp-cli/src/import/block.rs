//! The language in which nginx and SRS are set: directives that end with a semicolon or hold
//! a block of others.

/// Blocks within blocks. nginx itself stops far before that.
const MOST_BLOCKS: usize = 32;

/// `name arguments;` or `name arguments { block }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// Where it begins, from 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn argument(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    pub(super) fn is_on(&self) -> bool {
        self.argument() == "on"
    }

    pub(super) fn block(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// Reads a whole file. The error names a line, and quotes nothing.
pub(super) fn parse(text: &str) -> Result<Vec<Directive>, String> {
    let mut tokens = Tokens {
        text: text.trim_start_matches('\u{feff}'),
        line: 1,
    };
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut here = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut begun = 1;
    while let Some((line, token)) = tokens.next()? {
        let directive = |words: &mut Vec<String>| {
            let mut words = std::mem::take(words).into_iter();
            words.next().map(|name| Directive {
                line: begun,
                name,
                arguments: words.collect(),
                block: None,
            })
        };
        match token {
            Token::Word(word) => {
                if words.is_empty() {
                    begun = line;
                }
                words.push(word);
            }
            Token::End => here.extend(directive(&mut words)),
            Token::Open => {
                let Some(directive) = directive(&mut words) else {
                    return Err(format!("line {line}: a block without a name"));
                };
                if open.len() == MOST_BLOCKS {
                    return Err(format!(
                        "line {line}: more than {MOST_BLOCKS} blocks in each other"
                    ));
                }
                open.push((directive, std::mem::take(&mut here)));
            }
            Token::Close if !words.is_empty() => {
                return Err(format!("line {begun}: no semicolon at its end"));
            }
            Token::Close => match open.pop() {
                Some((mut directive, outer)) => {
                    directive.block = Some(std::mem::replace(&mut here, outer));
                    here.push(directive);
                }
                None => return Err(format!("line {line}: a block ends that did not begin")),
            },
        }
    }
    match (open.pop(), words.is_empty()) {
        (Some((directive, _)), _) => Err(format!(
            "line {}: the block that begins there does not end",
            directive.line
        )),
        (None, false) => Err(format!("line {begun}: no semicolon at its end")),
        (None, true) => Ok(here),
    }
}

struct Tokens<'a> {
    text: &'a str,
    line: usize,
}

impl Tokens<'_> {
    /// The next token and the line on which it begins.
    fn next(&mut self) -> Result<Option<(usize, Token)>, String> {
        loop {
            let Some(first) = self.text.chars().next() else {
                return Ok(None);
            };
            match first {
                '#' => {
                    let end = self.text.find('\n').unwrap_or(self.text.len());
                    self.text = &self.text[end..];
                }
                c if c.is_whitespace() => drop(self.take()),
                _ => break,
            }
        }
        let line = self.line;
        let token = match self.take() {
            Some(';') => Token::End,
            Some('{') => Token::Open,
            Some('}') => Token::Close,
            Some(quote @ ('"' | '\'')) => Token::Word(self.quoted(quote, line)?),
            Some(first) => Token::Word(self.word(first)),
            None => return Ok(None),
        };
        Ok(Some((line, token)))
    }

    fn take(&mut self) -> Option<char> {
        let mut characters = self.text.chars();
        let taken = characters.next()?;
        self.text = characters.as_str();
        if taken == '\n' {
            self.line += 1;
        }
        Some(taken)
    }

    fn quoted(&mut self, quote: char, line: usize) -> Result<String, String> {
        let mut word = String::new();
        loop {
            match self.take() {
                Some('\\') => match self.take() {
                    Some(escaped @ ('"' | '\'' | '\\')) => word.push(escaped),
                    Some(other) => word.extend(['\\', other]),
                    None => {}
                },
                Some(c) if c == quote => return Ok(word),
                Some(c) => word.push(c),
                None => return Err(format!("line {line}: a quote that does not end")),
            }
        }
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(next) = self.text.chars().next() {
            // `${name}` is a variable, and no block.
            let is_variable = next == '{' && word.ends_with('$');
            if next.is_whitespace() || next == ';' || next == '{' && !is_variable {
                break;
            }
            word.push(next);
            self.take();
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_have_lines_words_and_blocks() {
        let text = "# a comment\nrtmp {\n  server{ listen 1935; }\n  push \"a b;\" '\\'c' \
                    ${app}/$name; # more\n}\nuser x;";
        let read = parse(text).expect("right");
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].name.as_str(), read[0].line), ("rtmp", 2));
        assert_eq!((read[1].name.as_str(), read[1].line), ("user", 6));
        let [server, push] = read[0].block() else {
            panic!("{read:?}");
        };
        assert_eq!(server.block()[0].arguments, ["1935"]);
        assert_eq!(push.arguments, ["a b;", "'c", "${app}/$name"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            (
                "a {\n b;\n",
                "line 1: the block that begins there does not end",
            ),
            ("a b\n", "line 1: no semicolon at its end"),
            ("a {\n b }", "line 2: no semicolon at its end"),
            ("}", "line 1: a block ends that did not begin"),
            ("\n{}", "line 2: a block without a name"),
            ("a \"b", "line 1: a quote that does not end"),
            (
                &"a {".repeat(100_000),
                "line 1: more than 32 blocks in each other",
            ),
        ] {
            assert_eq!(parse(text).expect_err("wrong"), expected);
        }
        assert_eq!(parse(" \n#"), Ok(Vec::new()));
    }
}
