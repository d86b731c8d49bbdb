//! The first line of a script, as the kernel reads it (execve(2), "Interpreter scripts"), and what `env` makes of it.

use super::format::HEAD;

/// What follows `#!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shebang {
    pub(super) interpreter: Vec<u8>,
    /// All the rest of the line; the kernel passes it as one argument.
    pub(super) argument: Option<Vec<u8>>,
}

/// Why the line cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadLine {
    /// Nothing behind `#!`.
    Empty,
    /// The interpreter's path goes on behind what the kernel reads.
    TooLong,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Reads the first bytes of a file that begins with `#!`.
pub(super) fn parse(head: &[u8]) -> Result<Shebang, BadLine> {
    let body = head.get(2..).unwrap_or_default();
    let end = body.iter().position(|b| *b == b'\n');
    let line = trim(&body[..end.unwrap_or(body.len())]);
    if line.is_empty() {
        return Err(BadLine::Empty);
    }
    match line.iter().position(|b| is_blank(*b)) {
        Some(at) => {
            let argument = trim(&line[at..]);
            let argument = (!argument.is_empty()).then(|| argument.to_vec());
            Ok(Shebang { interpreter: line[..at].to_vec(), argument })
        }
        None if end.is_none() && head.len() >= HEAD => Err(BadLine::TooLong),
        None => Ok(Shebang { interpreter: line.to_vec(), argument: None }),
    }
}

/// What `env` does with its one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Env {
    /// It looks for this program in PATH.
    Runs(Vec<u8>),
    /// It looks for a program with blanks in its name, or takes them for an option: `-S` is missing.
    Unsplit,
    /// Not to be told from here: it changes PATH or the folder, or runs nothing.
    Unknown,
}

/// Reads the argument of `#!/usr/bin/env …` (GNU coreutils, env invocation).
pub(super) fn env(argument: Option<&[u8]>) -> Env {
    let Some(argument) = argument else { return Env::Unknown };
    let text = if let Some(rest) = argument.strip_prefix(b"-S") {
        rest
    } else if let Some(rest) = argument.strip_prefix(b"--split-string") {
        rest.strip_prefix(b"=").unwrap_or(rest)
    } else if argument.iter().any(|b| is_blank(*b)) {
        return Env::Unsplit;
    } else {
        argument
    };
    let mut words = text.split(|b| is_blank(*b)).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        match word {
            b"-u" | b"--unset" if words.next() != Some(b"PATH") => {}
            b"-v" | b"--debug" | b"--" => {}
            _ if word.starts_with(b"-") || word.starts_with(b"PATH=") => return Env::Unknown,
            _ if word.contains(&b'=') => {}
            // Quotes and variables are for the shell of env's own making; such a script is left to run.
            _ if word.iter().any(|b| b"'\"\\$".contains(b)) => return Env::Unknown,
            _ => return Env::Runs(word.to_vec()),
        }
    }
    Env::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shebang(interpreter: &str, argument: Option<&str>) -> Shebang {
        Shebang { interpreter: interpreter.into(), argument: argument.map(Into::into) }
    }

    #[test]
    fn lines_are_read_as_the_kernel_does() {
        assert_eq!(parse(b"#!/bin/sh\nexit"), Ok(shebang("/bin/sh", None)));
        assert_eq!(parse(b"#! \t/bin/sh -e  x \t\nexit"), Ok(shebang("/bin/sh", Some("-e  x"))));
        assert_eq!(parse(b"#!/bin/sh"), Ok(shebang("/bin/sh", None)));
        assert_eq!(parse(b"#!/bin/sh\r\n"), Ok(shebang("/bin/sh\r", None)));
        assert_eq!(parse(b"#!  \n/bin/sh"), Err(BadLine::Empty));
        assert_eq!(parse(b"#!"), Err(BadLine::Empty));
        let long = [b"#!/".to_vec(), vec![b'x'; HEAD - 3]].concat();
        assert_eq!(parse(&long), Err(BadLine::TooLong));
        let cut = [b"#!/bin/x ".to_vec(), vec![b'x'; HEAD - 9]].concat();
        assert_eq!(parse(&cut).unwrap().interpreter, b"/bin/x");
    }

    #[test]
    fn env_is_understood_where_it_can_be() {
        let run = |text: &str| env(Some(text.as_bytes()));
        let runs = |name: &str| Env::Runs(name.into());
        assert_eq!(run("python3"), runs("python3"));
        assert_eq!(run("-S python3 -u"), runs("python3"));
        assert_eq!(run("-Spython3"), runs("python3"));
        assert_eq!(run("--split-string=A=1 -u B node --x"), runs("node"));
        assert_eq!(run("python3 -u"), Env::Unsplit);
        assert_eq!(run("-S -i sh"), Env::Unknown);
        assert_eq!(run("-S PATH=/x sh"), Env::Unknown);
        assert_eq!(run("-S $SHELL"), Env::Unknown);
        assert_eq!(run("-S"), Env::Unknown);
        assert_eq!(env(None), Env::Unknown);
    }
}
