//! [`Lines`]: the lines of a text of numbers.

use std::fmt;

/// The text of one line behind its number.
pub(super) type Detail<'a> = Option<fmt::Arguments<'a>>;

/// Lines of a name, a number and a detail. There is no line feed after the last one.
pub(super) struct Lines<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    begun: bool,
}

impl<'a, 'f> Lines<'a, 'f> {
    pub(super) fn new(f: &'a mut fmt::Formatter<'f>) -> Self {
        Lines { f, begun: false }
    }

    pub(super) fn line(&mut self, name: &str, number: u64, detail: Detail<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.f.write_str("\n")?;
        }
        write!(self.f, "{name:<17}{number:>12}")?;
        match detail {
            Some(detail) => write!(self.f, "  {detail}"),
            None => Ok(()),
        }
    }

    /// A line, unless the number is zero.
    pub(super) fn some(&mut self, name: &str, number: u64, detail: Detail<'_>) -> fmt::Result {
        if number == 0 { Ok(()) } else { self.line(name, number, detail) }
    }
}
