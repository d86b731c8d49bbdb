//! Takes a shell script apart into simple commands, as far as that is possible without running it.

use std::collections::{BTreeMap, BTreeSet};

/// One simple command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Command {
    /// The program and its arguments, without quotes; variables with a known value are replaced.
    pub(super) words: Vec<String>,
    /// The file that its output goes to.
    pub(super) output: Option<String>,
    /// Whether it is inside of a condition, a loop or a function.
    pub(super) conditional: bool,
}

impl Command {
    /// The words with blanks between.
    pub(super) fn text(&self) -> String {
        self.words.join(" ")
    }
}

/// One piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// Between commands.
    End,
    /// `;;`, after which come patterns.
    EndOfCase,
    /// `(`
    Open,
    /// `)`
    Close,
    /// The file after `>` or `>>`.
    Output(String),
    /// The word after `<<`.
    Here(String),
}

/// The simple commands of a script, in order. What is not understood comes out as words.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut reader = Reader::default();
    let text = script.replace("\\\n", " ");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let tokens = tokens(line);
        for token in &tokens {
            reader.token(token.clone());
        }
        reader.token(Token::End);
        for token in tokens {
            let Token::Here(end) = token else { continue };
            lines.by_ref().find(|line| line.trim_start_matches('\t') == end);
        }
    }
    reader.commands
}

/// Splits a line. A comment ends it.
fn tokens(line: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' => {
                chars.next();
            }
            '#' => break,
            ';' | '&' | '|' | '(' | ')' => {
                chars.next();
                out.push(match c {
                    ';' if chars.next_if_eq(&';').is_some() => Token::EndOfCase,
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::End,
                });
            }
            '<' => {
                chars.next();
                let here = chars.next_if_eq(&'<').is_some();
                chars.next_if_eq(&'-');
                let word = word(&mut chars);
                if here {
                    out.push(Token::Here(word));
                }
            }
            '>' => {
                chars.next();
                while chars.next_if(|c| matches!(c, '>' | '|')).is_some() {}
                if chars.next_if_eq(&'&').is_some() {
                    word(&mut chars);
                } else {
                    out.push(Token::Output(word(&mut chars)));
                }
            }
            '0'..='9' if redirects(&chars) => {
                let error_output = c == '2';
                chars.next();
                if error_output && chars.next_if_eq(&'>').is_some() {
                    while chars.next_if(|c| matches!(c, '>' | '&')).is_some() {}
                    word(&mut chars);
                }
            }
            _ => out.push(Token::Word(word(&mut chars))),
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Whether a digit stands in front of a redirection.
fn redirects(chars: &Chars<'_>) -> bool {
    matches!(chars.clone().nth(1), Some('<' | '>'))
}

/// One word without its quotes. What `$(…)` and backquotes hold stays one piece.
fn word(chars: &mut Chars<'_>) -> String {
    let mut out = String::new();
    while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    let mut quote = None;
    let mut depth = 0u32;
    while let Some(&c) = chars.peek() {
        match (quote, c) {
            (None, ' ' | '\t' | ';' | '&' | '|' | '<' | '>' | '(' | ')') if depth == 0 => break,
            (None, '\'' | '"' | '`') if depth == 0 => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => {
                chars.next();
                out.extend(chars.peek());
            }
            (_, '$') => {
                out.push('$');
                chars.next();
                if chars.next_if_eq(&'(').is_some() {
                    out.push('(');
                    depth += 1;
                }
                continue;
            }
            (_, '(') if depth > 0 => {
                depth += 1;
                out.push(c);
            }
            (_, ')') if depth > 0 => {
                depth -= 1;
                out.push(c);
            }
            _ => out.push(c),
        }
        chars.next();
    }
    out
}

#[derive(Default)]
struct Reader {
    commands: Vec<Command>,
    current: Command,
    depth: u32,
    /// Whether the patterns of a `case` come next, up to a `)`.
    patterns: bool,
    /// Functions of the script: their bodies are looked at, calls of them are not.
    functions: BTreeSet<String>,
    variables: BTreeMap<String, String>,
}

impl Reader {
    fn token(&mut self, token: Token) {
        match token {
            Token::Word(word) if self.patterns => {
                if word == "esac" {
                    self.patterns = false;
                    self.depth = self.depth.saturating_sub(1);
                }
            }
            Token::Close if self.patterns => self.patterns = false,
            Token::Word(word) => self.word(word),
            Token::Output(file) => self.current.output = Some(self.replaced(&file)),
            Token::Here(_) => {}
            Token::Open if self.current.words.len() == 1 => {
                self.functions.extend(std::mem::take(&mut self.current).words);
            }
            Token::EndOfCase => {
                self.end();
                self.patterns = true;
            }
            Token::End | Token::Open | Token::Close => self.end(),
        }
    }

    fn end(&mut self) {
        let mut command = std::mem::take(&mut self.current);
        command.conditional = self.depth > 0;
        let calls = command.words.first().is_some_and(|word| self.functions.contains(word));
        if !calls && (!command.words.is_empty() || command.output.is_some()) {
            self.commands.push(command);
        }
    }

    fn word(&mut self, word: String) {
        if !self.current.words.is_empty() {
            let word = self.replaced(&word);
            if self.current.words[0] == "case" || self.current.words[0] == "for" {
                // `case WORD in` and `for NAME in` hold no command.
                if word == "in" {
                    self.patterns = self.current.words[0] == "case";
                    self.current = Command::default();
                    if !self.patterns {
                        self.current.words.push(":".into());
                    }
                    return;
                }
            }
            self.current.words.push(word);
            return;
        }
        match word.as_str() {
            "if" | "while" | "until" | "{" => self.depth += 1,
            "fi" | "done" | "esac" | "}" => self.depth = self.depth.saturating_sub(1),
            "case" | "for" => {
                self.depth += 1;
                self.current.words.push(word);
            }
            "then" | "else" | "elif" | "do" | "!" | "exec" | "time" => {}
            _ => match assignment(&word) {
                Some((name, value)) => {
                    let value = self.replaced(value);
                    self.variables.insert(name.to_owned(), value);
                }
                None => {
                    let word = self.replaced(&word);
                    self.current.words.push(word);
                }
            },
        }
    }

    /// `$name` and `${name}` with the value that was last given, if that is a plain text.
    fn replaced(&self, word: &str) -> String {
        let mut out = word.to_owned();
        for (name, value) in self.variables.iter().rev().filter(|(_, value)| !value.contains(['$', '`', '(']))
        {
            out = out.replace(&format!("${{{name}}}"), value);
            if let Some(before) = out.strip_suffix(&format!("${name}")) {
                out = format!("{before}{value}");
            }
            for end in ['/', '-', '.', ':'] {
                out = out.replace(&format!("${name}{end}"), &format!("{value}{end}"));
            }
        }
        out
    }
}

/// The two sides of `name=value`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(script: &str) -> Vec<String> {
        let show = |c: Command| {
            let output = c.output.map(|file| format!(" > {file}")).unwrap_or_default();
            format!("{}{}{output}", if c.conditional { "? " } else { "" }, c.words.join("|"))
        };
        commands(script).into_iter().map(show).collect()
    }

    #[test]
    fn simple_commands() {
        assert_eq!(all("a b 'c d' \"e f\"; g&&h || i | j & # k"), ["a|b|c d|e f", "g", "h", "i", "j"]);
        assert_eq!(all("a \\\n b 2>/dev/null >&2\nc >>/etc/x 2>&1"), ["a|b", "c > /etc/x"]);
        assert_eq!(all("x=1 y=$x\na $x ${y} $z \"$x/b\""), ["a|1|1|$z|1/b"]);
        assert_eq!(all("a $(b c; d) e"), ["a|$(b c; d)|e"]);
        assert_eq!(all("cat <<-EOF >/etc/x\nadduser y\n\tEOF\nz"), ["cat > /etc/x", "z"]);
    }

    #[test]
    fn conditions_and_loops() {
        assert_eq!(all("if [ -x a ]; then\n b\nelse c; fi; d"), ["? [|-x|a|]", "? b", "? c", "d"]);
        assert_eq!(all("for i in 1 2; do a $i; done\nb"), ["? :|1|2", "? a|$i", "b"]);
        assert_eq!(all("case $1 in a|b) c;; esac\nd"), ["? c", "d"]);
        assert_eq!(all("case $1 in\n x) a;;\n *) b c;;\nesac\nd"), ["? a", "? b|c", "d"]);
        assert_eq!(all("f() {\n a $1\n}\nf x"), ["? a|$1"]);
    }
}
