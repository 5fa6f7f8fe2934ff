//! Reads Rust as far as tidiness needs it: what is code, and which paths it names.

/// The code with comments and the insides of texts blanked out, every line where it was. Without
/// `tests`, what follows `#[cfg(test)]` and a `mod … {` is blanked out as well: tests stand last.
pub fn blanked(text: &str, without_tests: bool) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest, '"'),
            'r' if is_raw(rest) && !code.ends_with(is_word) => raw(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    if without_tests && let Some(at) = tests_at(&code) {
        code.truncate(at);
    }
    code
}

/// The paths of this crate that code names, by line, resolved: `http::incoming::Incoming`.
pub fn modules_used(code: &str, module: &str) -> Vec<(usize, String)> {
    let here: Vec<&str> = module.split("::").filter(|part| *part != "lib").collect();
    let mut used = Vec::new();
    for (line, path) in paths(code) {
        let mut parts = path.split("::").peekable();
        let mut base = here.clone();
        match parts.peek() {
            Some(&"crate") => {
                parts.next();
                base.clear();
            }
            Some(&"super") => {
                while parts.next_if_eq(&"super").is_some() {
                    base.pop();
                }
            }
            _ => continue,
        }
        base.extend(parts);
        used.push((line, base.join("::")));
    }
    used
}

/// The crates among `known` that code names, by line.
pub fn crates_used(code: &str, known: &[String]) -> Vec<(usize, String)> {
    let first = |path: &str| path.split("::").next().unwrap_or_default().to_owned();
    let named = paths(code).into_iter().map(|(line, path)| (line, first(&path)));
    named.filter(|(_, name)| known.contains(name)).collect()
}

/// The code with `use std::{fs, io}` followed by its paths written out, on the same line.
pub fn uses_spelled_out(code: &str) -> String {
    let mut lines: Vec<String> = code.lines().map(str::to_owned).collect();
    for (line, path) in paths(code) {
        lines[line - 1].push(' ');
        lines[line - 1].push_str(&path);
    }
    lines.join("\n")
}

/// Whether a text has a word, or a path, with nothing of a word around it.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
    })
}

/// Every path of two parts or more, by line, with the braces of `use` written out.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(length) = code[at..].find("::") {
        let start = code[..at + length].rfind(|c| !is_word(c)).map_or(0, |it| it + 1);
        let before = code[..start].trim_end();
        let line = code[..start].matches('\n').count() + 1;
        let is_start = start < at + length && !before.ends_with("::");
        let end = if is_start {
            tree(code, start, String::new(), line, &mut found)
        } else {
            at + length + 2
        };
        at = end.max(at + length + 2);
    }
    found
}

/// Reads a path, or a tree of them, from `at` on; gives where it ends.
fn tree(
    code: &str,
    mut at: usize,
    mut path: String,
    mut line: usize,
    found: &mut Vec<(usize, String)>,
) -> usize {
    loop {
        let rest = &code[at..];
        let blank = rest.len() - rest.trim_start().len();
        let word_at = at + blank;
        let after = &code[word_at..];
        if path.ends_with("::") && after.starts_with('{') {
            line += code[at..word_at].matches('\n').count();
            at = word_at + 1;
            loop {
                let rest = &code[at..];
                let blank = rest.len() - rest.trim_start_matches([' ', '\n', '\t', ',']).len();
                line += code[at..at + blank].matches('\n').count();
                at += blank;
                match code[at..].chars().next() {
                    None => return at,
                    Some('}') => return at + 1,
                    Some(_) => {
                        let end = tree(code, at, path.clone(), line, found);
                        line += code[at..end.max(at + 1)].matches('\n').count();
                        at = end.max(at + 1);
                    }
                }
            }
        }
        let length = after.find(|c| !is_word(c)).unwrap_or(after.len());
        path.push_str(&after[..length]);
        at = word_at + length;
        let whole = length == 0 || !code[at..].starts_with("::");
        if whole {
            found.push((line, path.trim_end_matches("::").to_owned()));
            // `Name as Other` is one item of a tree.
            let renamed = code[at..].strip_prefix(" as ");
            let other = renamed.map_or(0, |it| 4 + it.find(|c| !is_word(c)).unwrap_or(it.len()));
            return at + other;
        }
        path.push_str("::");
        at += 2;
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_raw(text: &str) -> bool {
    let hashes = text[1..].trim_start_matches('#');
    hashes.starts_with('"')
}

fn raw(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    text[body..].find(&end).map_or(text.len(), |at| body + at + end.len())
}

/// A character in quotes; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => quoted(text, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn tests_at(code: &str) -> Option<usize> {
    let marks = code.match_indices("#[cfg(test)]");
    let mut blocks = marks.filter(|(at, mark)| {
        let after = code[at + mark.len()..].trim_start();
        let name = after.strip_prefix("mod ").unwrap_or_default();
        name.trim_start_matches(is_word).trim_start().starts_with('{')
    });
    blocks.next().map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(code: &str, module: &str) -> Vec<String> {
        let used = modules_used(&blanked(code, true), module);
        used.into_iter().map(|(line, path)| format!("{line} {path}")).collect()
    }

    #[test]
    fn trees_and_supers_are_resolved() {
        let code = "use crate::{\n    a::B,\n    c::{self, d::E as F},\n};\n\
                    use super::super::g;\nfn f() -> crate::h::I { super::j() }";
        let expected = ["2 a::B", "3 c::self", "3 c::d::E", "5 x::g", "6 h::I", "6 x::y::j"];
        assert_eq!(resolved(code, "x::y::z"), expected);
    }

    #[test]
    fn comments_texts_and_tests_are_no_code() {
        let code = "// crate::a\nconst B: &str = \"crate::b\\\" crate::c\";\nconst C: char = '\"';\n\
                    fn d<'a>(_: &'a str) { crate::e() } /* crate::f\n */ const G: &str = r#\"crate::g\"#;\n\
                    #[cfg(test)]\nmod tests { use crate::h; }";
        assert_eq!(resolved(code, "x"), ["4 e"]);
    }

    #[test]
    fn crates_are_found_in_uses_and_in_paths() {
        let code = "use tokio::{sync, time::{self, Instant}};\nfn f() { uuid::Uuid::new_v4() }";
        let known = ["tokio".to_owned(), "uuid".to_owned(), "sync".to_owned()];
        let mut used = crates_used(code, &known);
        used.dedup();
        assert_eq!(used, [(1, "tokio".to_owned()), (2, "uuid".to_owned())]);
        assert!(uses_spelled_out(code).contains("tokio::time::Instant"));
        assert!(has_word("std::time::Instant", "std::time"));
        assert!(!has_word("operand", "rand"));
    }
}
