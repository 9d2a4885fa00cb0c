//! Rust text reduced to what the compiler acts on, so that a word in a comment or message is no finding.

/// The text with comments and the contents of string literals blanked. Newlines stay, so line numbers hold.
pub fn code_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if next == '"' {
            quoted(rest)
        } else if let Some(length) = raw_string(rest, out.chars().last()) {
            length
        } else if let Some(length) = char_literal(rest) {
            length
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        let (blanked, after) = rest.split_at(skipped);
        out.push(' ');
        out.extend(blanked.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    out
}

/// Length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of a string literal that begins with a quote.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a raw string literal (`r"…"`, `r#"…"#`), unless its `r` is the end of a word.
fn raw_string(text: &str, before: Option<char>) -> Option<usize> {
    // `br"…"` has its `b` as a word of one letter before it.
    if before.is_some_and(|c| is_word(c) && c != 'b') {
        return None;
    }
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opened = 1 + hashes + 1;
    Some(text[opened..].find(&end).map_or(text.len(), |at| opened + at + end.len()))
}

/// Length of a character literal; a lifetime is none.
fn char_literal(text: &str) -> Option<usize> {
    let after = text.strip_prefix('\'')?;
    let mut chars = after.chars();
    let first = chars.next()?;
    if first == '\\' {
        let escaped = chars.next()?.len_utf8();
        let close = after[1 + escaped..].find('\'')?;
        return Some(1 + 1 + escaped + close + 1);
    }
    (chars.next()? == '\'').then_some(1 + first.len_utf8() + 1)
}

/// Whether `c` can be part of an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Lines (from 1) where `word` stands as a whole word; `word` may hold `::`.
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let whole = |at: usize| {
        !code[..at].chars().next_back().is_some_and(is_word)
            && !code[at + word.len()..].chars().next().is_some_and(is_word)
    };
    let found = code.match_indices(word).filter(|(at, _)| whole(*at));
    found.map(|(at, _)| code[..at].matches('\n').count() + 1).collect()
}

/// The code without items under `#[cfg(test)]`: each such attribute is cut with the braces or the `;` that follow it.
pub fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        out.push_str(before);
        let mut depth = 0_usize;
        let end = item.char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (depth == 0 && matches!(c, '}' | ';')).then_some(at + 1)
        });
        let (item, after) = item.split_at(end.unwrap_or(item.len()));
        out.extend(item.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked() {
        let text = r##"a // x
b /* x /* x */ x
x */ c "x \" x" d r#"x " x"# e 'x' f '\'' g '\u{78}' h<'y>(i: &'y str) for"""##;
        let code = code_of(text);
        assert!(!code.contains('x'), "{code}");
        for letter in "abcdefghiy".chars() {
            assert!(code.contains(letter), "{letter} lost in {code}");
        }
        assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(lines_with("unsafe_code\nunsafe {\nnot_unsafe\nA::new\nBA::new", "unsafe"), [2]);
        assert_eq!(lines_with("A::new()\nBA::new()\nA::newer()", "A::new"), [1]);
    }

    #[test]
    fn test_items_are_cut() {
        let code = "one\n#[cfg(test)]\nmod tests {\n fn a() { two }\n}\nthree\n#[cfg(test)]\nuse four;\nfive";
        let left = without_tests(code);
        assert!(left.contains("one") && left.contains("three") && left.contains("five"), "{left}");
        assert!(!left.contains("two") && !left.contains("four"), "{left}");
        assert_eq!(lines_with(&left, "five"), [9]);
    }
}
