//! The paths and names in a file of Rust, read from its tokens.
//!
//! It is a lexer's view. Comments (links in documentation too) and strings are not code, code
//! inside macros is; but a name that was brought in by one path and is used by another is not
//! followed, nor a name that a macro puts together.

use proc_macro2::{Delimiter, LexError, Spacing, TokenStream, TokenTree};

/// What a file names, without what only its tests name.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// Every path that starts at `crate`, `self`, `super` or a crate, made absolute: the first
    /// segment is `crate` or a crate's name. The members of a `use` tree are each one; the
    /// last segment may be `*`.
    pub(super) paths: Vec<(Vec<String>, usize)>,
    pub(super) names: Vec<(String, usize)>,
    pub(super) floats: Vec<(String, usize)>,
    /// Modules in files of their own that are compiled only for tests, as paths.
    pub(super) test_modules: Vec<Vec<String>>,
}

impl Lexed {
    /// Reads the file whose module is `module`, a path from the root.
    pub(super) fn read(module: &[String], source: &str) -> Result<Lexed, LexError> {
        let mut lexed = Lexed::default();
        lexed.walk(&trees(source.parse()?), module);
        Ok(lexed)
    }

    fn walk(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut at = 0;
        while at < tokens.len() {
            at += match (&tokens[at], tokens.get(at + 1)) {
                (TokenTree::Punct(hash), _) if hash.as_char() == '#' => self.attribute(&tokens[at..], module),
                // `pub(in crate::x)` imports nothing.
                (TokenTree::Ident(word), Some(TokenTree::Group(scope)))
                    if word == "pub" && scope.delimiter() == Delimiter::Parenthesis =>
                {
                    2
                }
                (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "mod" => {
                    self.module(name.to_string(), tokens.get(at + 2), module)
                }
                // `$crate` is a path in whoever uses the macro.
                (TokenTree::Punct(dollar), Some(TokenTree::Ident(_))) if dollar.as_char() == '$' => {
                    1 + Lexed::default().path(&tokens[at + 1..], module)
                }
                (TokenTree::Ident(_), _) => self.path(&tokens[at..], module),
                (TokenTree::Literal(literal), _) => {
                    let text = literal.to_string();
                    // `pair.0.1` is lexed with a float in it.
                    if is_float(&text) && !(at > 0 && is_punct(&tokens[at - 1], '.')) {
                        self.floats.push((text, literal.span().start().line));
                    }
                    1
                }
                (TokenTree::Group(group), _) => {
                    self.walk(&trees(group.stream()), module);
                    1
                }
                _ => 1,
            };
        }
    }

    /// Passes over an attribute, and over the item behind it where that is only for tests.
    /// Returns how many tokens that was.
    fn attribute(&mut self, tokens: &[TokenTree], module: &[String]) -> usize {
        let inner = usize::from(tokens.get(1).is_some_and(|token| is_punct(token, '!')));
        let Some(TokenTree::Group(group)) = tokens.get(1 + inner) else { return 1 };
        let after = 2 + inner;
        if inner == 1 || !is_for_tests(group.stream()) {
            return after;
        }
        // The item ends with its block or its semicolon.
        let ends = |token: &TokenTree| {
            is_punct(token, ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
        };
        let item = &tokens[after..];
        let end = item.iter().position(ends).map_or(item.len(), |end| end + 1);
        if let [TokenTree::Ident(word), TokenTree::Ident(name), _] = &item[..end] {
            if word == "mod" && end == 3 {
                self.test_modules.push(inside(module, name.to_string()));
            }
        }
        after + end
    }

    fn module(&mut self, name: String, body: Option<&TokenTree>, module: &[String]) -> usize {
        let Some(TokenTree::Group(body)) = body else { return 2 };
        self.walk(&trees(body.stream()), &inside(module, name));
        3
    }

    /// Reads a path, or a name that is not one. Returns how many tokens it took.
    fn path(&mut self, tokens: &[TokenTree], module: &[String]) -> usize {
        let TokenTree::Ident(first) = &tokens[0] else { return 1 };
        let start = match first.to_string().as_str() {
            "crate" => vec!["crate".to_owned()],
            "self" => absolute(module),
            "super" => absolute(&module[..module.len().saturating_sub(1)]),
            other => {
                self.names.push((other.to_owned(), first.span().start().line));
                vec![other.to_owned()]
            }
        };
        1 + self.segments(&tokens[1..], start, first.span().start().line)
    }

    /// Reads `::b::c`, or `::{b, c::d}`, after `prefix`. Returns how many tokens that was.
    fn segments(&mut self, tokens: &[TokenTree], mut prefix: Vec<String>, mut line: usize) -> usize {
        let (mut at, mut any) = (0, false);
        while is_colons(&tokens[at..]) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(segment)) => {
                    line = segment.span().start().line;
                    let segment = segment.to_string();
                    if segment == "super" {
                        prefix.pop();
                    } else {
                        self.names.push((segment.clone(), line));
                        prefix.push(segment);
                    }
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.members(&trees(group.stream()), &prefix);
                    return at + 3;
                }
                Some(star) if is_punct(star, '*') => prefix.push("*".to_owned()),
                // `::<T>`: the types in it are read as what follows.
                _ => break,
            }
            (at, any) = (at + 3, true);
        }
        if any {
            self.paths.push((prefix, line));
        }
        at
    }

    /// Reads the members of a `use` tree.
    fn members(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        for member in tokens.split(|token| is_punct(token, ',')) {
            match member.first() {
                Some(TokenTree::Ident(name)) => {
                    let line = name.span().start().line;
                    let mut path = prefix.to_vec();
                    if name != "self" {
                        path.push(name.to_string());
                        self.names.push((name.to_string(), line));
                    }
                    if self.segments(&member[1..], path.clone(), line) == 0 {
                        self.paths.push((path, line));
                    }
                }
                Some(star) if is_punct(star, '*') => {
                    self.paths.push((inside(prefix, "*".to_owned()), star.span().start().line));
                }
                _ => {}
            }
        }
    }
}

fn trees(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

fn inside(module: &[String], name: String) -> Vec<String> {
    module.iter().cloned().chain([name]).collect()
}

fn absolute(module: &[String]) -> Vec<String> {
    [&["crate".to_owned()], module].concat()
}

fn is_punct(token: &TokenTree, which: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == which)
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(one), TokenTree::Punct(two), ..]
        if one.as_char() == ':' && one.spacing() == Spacing::Joint && two.as_char() == ':')
}

/// `cfg(test)`, alone or among other conditions, but not `cfg(not(test))`.
fn is_for_tests(attribute: TokenStream) -> bool {
    match trees(attribute).as_slice() {
        [TokenTree::Ident(cfg), TokenTree::Group(condition)] if cfg == "cfg" => {
            let conditions = trees(condition.stream());
            match conditions.as_slice() {
                [TokenTree::Ident(all), TokenTree::Group(each)] if all == "all" => {
                    trees(each.stream()).iter().any(is_test)
                }
                [only] => is_test(only),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_test(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(name) if name == "test")
}

fn is_float(literal: &str) -> bool {
    let number = literal.starts_with(|c: char| c.is_ascii_digit());
    let based = ["0x", "0b", "0o"].iter().any(|base| literal.starts_with(base));
    // Integers' suffixes hold no `e` but `usize`'s and `isize`'s.
    let exponent = literal.split(['u', 'i']).next().is_some_and(|digits| digits.contains(['e', 'E']));
    number && !based && (literal.contains(['.', 'f']) || exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(module: &[&str], source: &str) -> Lexed {
        let module: Vec<_> = module.iter().map(|&segment| segment.to_owned()).collect();
        Lexed::read(&module, source).unwrap()
    }

    fn paths(module: &[&str], source: &str) -> Vec<String> {
        read(module, source).paths.iter().map(|(path, line)| format!("{}@{line}", path.join("::"))).collect()
    }

    #[test]
    fn paths_are_made_absolute() {
        let source = "use crate::a::{self, b::c, d::{e, *}};\nuse super::{x, super::y};\nfn f(g: self::H) {}";
        let expected = ["crate::a@1", "crate::a::b::c@1", "crate::a::d::e@1", "crate::a::d::*@1"];
        let found = paths(&["m", "n"], source);
        assert_eq!(found[..4], expected);
        assert!(found.contains(&"crate::m::x@2".to_owned()) && found.contains(&"crate::m::n::H@3".to_owned()));
    }

    #[test]
    fn two_floors_up_is_the_root() {
        assert_eq!(paths(&["m", "n"], "use super::super::limiter::X;"), ["crate::limiter::X@1"]);
    }

    #[test]
    fn modules_in_the_file_count() {
        assert_eq!(paths(&["m"], "mod inner { use super::super::z::Z; }"), ["crate::z::Z@1"]);
    }

    #[test]
    fn comments_strings_visibilities_and_callers_paths_are_not_imports() {
        let source = r#"
            //! [`x`](crate::limiter)
            /// crate::limiter::X
            // crate::limiter::X
            pub(in crate::limiter) const S: &str = "crate::limiter::X";
            macro_rules! m { () => { $crate::limiter::X } }
        "#;
        assert!(paths(&["m"], source).is_empty());
    }

    #[test]
    fn code_in_macros_and_expressions_counts() {
        let source = "m! { fn f() { crate::limiter::g::<crate::cell::T>() } }";
        assert_eq!(paths(&["m"], source), ["crate::limiter::g@1", "crate::cell::T@1"]);
    }

    #[test]
    fn what_is_for_tests_is_passed_over() {
        let source = "#[cfg(test)] mod props;\n#[cfg(all(test, unix))]\n#[allow(x)]\nmod tests { use crate::a::B; }\n\
                      #[cfg(not(test))] use crate::c::D;";
        let lexed = read(&["m"], source);
        assert_eq!(lexed.test_modules, [["m", "props"]]);
        assert_eq!(paths(&["m"], source), ["crate::c::D@5"]);
    }

    #[test]
    fn floats_are_told_from_integers_and_fields() {
        let source = "const A: [u64; 5] = [1.0, 2e3, 1f64, 0xfe, 3usize]; fn f() { x.0.1; 0..5; 1_000u64; }";
        let floats: Vec<_> = read(&[], source).floats.into_iter().map(|(text, _)| text).collect();
        assert_eq!(floats, ["1.0", "2e3", "1f64"]);
    }
}
