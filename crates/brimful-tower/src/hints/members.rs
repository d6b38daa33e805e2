//! The members of a structured field: RFC 9651, as far as it is needed to read lists and dictionaries of items.

/// A member of a list, or of a dictionary.
#[derive(Debug, PartialEq)]
pub(super) struct Member<'a> {
    /// In a dictionary.
    pub(super) key: Option<&'a str>,
    pub(super) item: Bare<'a>,
    parameters: Vec<(&'a str, Bare<'a>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bare<'a> {
    Integer(u64),
    /// A string, with its escapes and without its quotation marks, or a token.
    Text(&'a str),
    /// A value of another kind, or a negative number.
    Other,
}

impl<'a> Member<'a> {
    /// Returns the value of a parameter. If it occurs twice, the last one counts.
    pub(super) fn parameter(&self, name: &str) -> Option<Bare<'a>> {
        self.parameters.iter().rev().find_map(|(key, value)| (*key == name).then_some(*value))
    }

    /// Returns the value of a parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.parameter(name)?.number()
    }
}

impl Bare<'_> {
    pub(super) fn number(self) -> Option<u64> {
        if let Bare::Integer(number) = self { Some(number) } else { None }
    }
}

/// Reads all members of a field. Returns `None` if the field is malformed, and so has no meaning, or if it has a list
/// within a list.
pub(super) fn members(field: &str) -> Option<Vec<Member<'_>>> {
    let (mut rest, mut members) = (Rest(field.trim_matches(' ')), Vec::new());
    if rest.0.is_empty() {
        return Some(members);
    }
    loop {
        members.push(rest.member()?);
        rest.skip_spaces();
        if rest.0.is_empty() {
            return Some(members);
        }
        rest.take(',')?;
        rest.skip_spaces();
    }
}

/// The rest of a field.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn member(&mut self) -> Option<Member<'a>> {
        let before = self.0;
        let (key, item) = match self.key() {
            Some(key) if self.take('=').is_some() => (Some(key), self.bare()?),
            _ => {
                self.0 = before;
                (None, self.bare()?)
            }
        };
        let mut parameters = Vec::new();
        while self.take(';').is_some() {
            self.skip_spaces();
            let key = self.key()?;
            // A parameter without a value is true.
            let value = if self.take('=').is_some() { self.bare()? } else { Bare::Other };
            parameters.push((key, value));
        }
        Some(Member { key, item, parameters })
    }

    fn key(&mut self) -> Option<&'a str> {
        self.0.starts_with(|c: char| c.is_ascii_lowercase() || c == '*').then_some(())?;
        Some(self.take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)))
    }

    fn bare(&mut self) -> Option<Bare<'a>> {
        match self.0.chars().next()? {
            '"' => self.string().map(Bare::Text),
            '-' | '0'..='9' => self.number(),
            c if c.is_ascii_alphabetic() || c == '*' => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
                Some(Bare::Text(self.take_while(is_part)))
            }
            ':' => self.between(":", |c| c.is_ascii_alphanumeric() || "+/=".contains(c)),
            '%' => self.between("%\"", |c| (' '..='~').contains(&c) && c != '"'),
            '?' => self.after('?', |rest| rest.take_while(|c| c == '0' || c == '1').len() == 1),
            '@' => self.after('@', |rest| rest.number().is_some()),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        let rest = self.0.strip_prefix('"')?;
        let mut bytes = rest.bytes().enumerate();
        loop {
            let end = match bytes.next()? {
                (at, b'"') => at,
                (_, b'\\') => {
                    bytes.next().filter(|(_, byte)| b"\"\\".contains(byte))?;
                    continue;
                }
                (_, b' '..=b'~') => continue,
                _ => return None,
            };
            self.0 = &rest[end + 1..];
            return Some(&rest[..end]);
        }
    }

    /// Takes an integer of up to 15 digits, or a decimal number.
    fn number(&mut self) -> Option<Bare<'a>> {
        let is_negative = self.take('-').is_some();
        let whole = self.take_while(|c| c.is_ascii_digit());
        let is_decimal = self.take('.').is_some();
        let fraction = if is_decimal { self.take_while(|c| c.is_ascii_digit()) } else { "" };
        let is_good = match is_decimal {
            true => (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len()),
            false => (1..=15).contains(&whole.len()),
        };
        is_good.then_some(())?;
        let value = whole.parse().ok()?;
        // `-0` is zero.
        Some(if is_decimal || (is_negative && value > 0) { Bare::Other } else { Bare::Integer(value) })
    }

    fn between(&mut self, open: &str, is_part: impl Fn(char) -> bool) -> Option<Bare<'a>> {
        self.0 = self.0.strip_prefix(open)?;
        self.take_while(is_part);
        self.take(open.chars().last()?)?;
        Some(Bare::Other)
    }

    fn after(&mut self, mark: char, rest: impl FnOnce(&mut Self) -> bool) -> Option<Bare<'a>> {
        self.take(mark)?;
        rest(self).then_some(Bare::Other)
    }

    fn take(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.0.split_at(self.0.find(|c| !is_part(c)).unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }

    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(item: Bare<'static>) -> Member<'static> {
        Member { key: None, item, parameters: Vec::new() }
    }

    #[test]
    fn lists_and_dictionaries_are_read() {
        assert_eq!(members(""), Some(Vec::new()));
        let found = members(r#" "a\"b,c";r=50;t=-30;w=1.5;x="y";z , tok/en:1;q=7 ,12"#).unwrap();
        assert_eq!((found.len(), found[0].item, found[1].item), (3, Bare::Text(r#"a\"b,c"#), Bare::Text("tok/en:1")));
        assert_eq!(found[2], item(Bare::Integer(12)));
        assert_eq!((found[0].number("r"), found[0].number("t"), found[0].number("w")), (Some(50), None, None));
        assert_eq!((found[0].parameter("x"), found[0].parameter("z")), (Some(Bare::Text("y")), Some(Bare::Other)));
        assert_eq!((found[1].number("q"), found[1].number("r")), (Some(7), None));
        let found = members("limit=100, remaining=50;x=1, reset=5").unwrap();
        let found: Vec<_> = found.iter().map(|member| (member.key.unwrap(), member.item.number().unwrap())).collect();
        assert_eq!(found, [("limit", 100), ("remaining", 50), ("reset", 5)]);
        let others = members(r#"?1, :YQ==:, @17, %"%c3", -7, 0.5, a;pk=:YWI=:"#).unwrap();
        assert!(others[..6].iter().all(|member| *member == item(Bare::Other)), "{others:?}");
        assert_eq!(members("a;q=1;q=2").unwrap()[0].number("q"), Some(2));
        assert_eq!(members("-0").unwrap(), [item(Bare::Integer(0))]);
    }

    #[test]
    fn malformed_fields_mean_nothing() {
        for field in [
            "a,",
            ",a",
            "a,,b",
            "a b",
            "\"a",
            "\"a\\b\"",
            "\"ü\"",
            "a;",
            "a;Q=1",
            "a;q=",
            "a; q=1;",
            "(a b)",
            "a=",
            "1.",
            ".5",
            "1.2345",
            "1234567890123456",
            "--1",
            "-",
            "?2",
            "?",
            "?10",
            "@",
            "@x",
            ":a",
            "%\"a",
            "%a",
            "ü",
            "a;q=1 ;r=2",
            "1a",
        ] {
            assert_eq!(members(field), None, "{field}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn fields_are_read_as_another_parser_reads_them(text in "[a-c1\";=, ?:.(\\\\@%*-]{0,16}") {
            let is_read = members(&text).is_some();
            let list = sfv::Parser::new(&text).parse::<sfv::List>();
            let dictionary = sfv::Parser::new(&text).parse::<sfv::Dictionary>();
            // In a dictionary, this parser wants a value for each key, and it does not decode bytes and display strings.
            let is_lenient = text.contains(['=', ':', '%']);
            prop_assert!(!is_read || list.is_ok() || dictionary.is_ok() || is_lenient, "{:?}", text);
            // It reads no lists within lists.
            prop_assert!(is_read || list.is_err() || text.contains('('), "{:?}", text);
        }
    }
}
