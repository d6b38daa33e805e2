//! Rust files as text: enough to find the paths that a file imports.
//!
//! A text search does not follow a name that was imported under another one. The checks therefore
//! ask for imports that they can read: one `use` for each module, by its path from `crate`.

use super::Text;

/// Files that hold only tests, by the convention of the project.
const TESTS: &str = "/tests.rs";

/// A file of the core, without comments and tests.
pub(super) struct Source<'a> {
    /// From the root of the repository, with `/`.
    pub(super) file: &'a str,
    /// Without comments and without the module `tests` at the end of the file. Its lines keep
    /// their numbers.
    pub(super) code: String,
}

/// Returns the files of the core, but for `lib.rs` and the files of tests.
pub(super) fn sources(texts: &[Text]) -> Vec<Source<'_>> {
    let is_source = |text: &&Text| {
        let name = text.name.as_str();
        name.starts_with("src/") && name.ends_with(".rs") && name != "src/lib.rs" && !name.ends_with(TESTS)
    };
    texts.iter().filter(is_source).map(|text| Source { file: &text.name, code: code(&text.text) }).collect()
}

fn code(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"));
    lines.truncate(tests.unwrap_or(lines.len()));
    lines.join("\n")
}

/// Returns the names that follow `path`, with their lines: `a` and `b` for `use path::{a::X, b};`, `*`
/// for a glob, and an empty name if nothing follows. The scope of `pub(in path::a)` is no import, and
/// `$crate` is a path of another crate.
pub(super) fn names<'a>(code: &'a str, path: &str) -> Vec<(&'a str, usize)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(path) {
        let (before, after) = (&code[..at], &code[at + path.len()..]);
        let in_longer_path = before.ends_with(|c| is_in_name(c) || c == ':' || c == '$');
        if in_longer_path || before.ends_with("(in ") || after.starts_with(is_in_name) {
            continue;
        }
        let line = 1 + before.matches('\n').count();
        let members = match after.strip_prefix("::") {
            None => vec![""],
            Some(rest) => rest.strip_prefix('{').map_or_else(|| vec![rest], members),
        };
        names.extend(members.into_iter().map(|member| (first_name(member), line)));
    }
    names
}

/// Splits `a::X, b::{c, d}}…` at its own commas, up to its closing brace.
fn members(group: &str) -> Vec<&str> {
    let (mut members, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                members.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn first_name(path: &str) -> &str {
    let end = if path.starts_with('*') { 1 } else { path.find(|c| !is_in_name(c)).unwrap_or(path.len()) };
    &path[..end]
}

pub(super) fn is_in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::super::tests::project;
    use super::*;

    fn found(source: &str, path: &str) -> Vec<String> {
        names(source, path).iter().map(|(name, line)| format!("{name}@{line}")).collect()
    }

    #[test]
    fn each_member_of_a_group_is_a_name() {
        let source = "use crate::a::{self, b::c,\n    d::{e, f}, *};\nfn g() { crate::a::h::<crate::a::I>() }";
        assert_eq!(found(source, "crate::a"), ["self@1", "b@1", "d@1", "*@1", "h@3", "I@3"]);
    }

    #[test]
    fn a_module_by_itself_has_an_empty_name() {
        assert_eq!(found("use std::thread;", "std::thread"), ["@1"]);
    }

    #[test]
    fn parts_of_longer_paths_are_not_found() {
        let source = "pub(in crate::a) x: self::a::B, my_a::B, $crate::a, ab::C, super::super::x";
        assert_eq!(found(source, "a"), [""; 0]);
        assert_eq!(found(source, "crate"), [""; 0]);
        assert_eq!(found(source, "super"), ["super@1"]);
    }

    #[test]
    fn comments_and_tests_are_no_code() {
        let text = "//! crate::a\nuse crate::b; // crate::c\n#[cfg(test)]\nmod tests {\n    use crate::d;\n}\n";
        let files =
            project(&[("src/x.rs", text), ("src/x/tests.rs", text), ("src/lib.rs", text), ("tests/x.rs", text)]);
        let sources = sources(&files);
        assert_eq!(sources.len(), 1);
        assert_eq!(found(&sources[0].code, "crate"), ["b@2"]);
    }
}
