//! Logs: files and the standard input, plain or packed, access logs and tables.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Chain, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::access::{self, Access, Scratch};
use super::gzip::unpacked;
use super::marks::{WithoutMarks, is_utf16};
use super::progress::Progress;
use super::table::{Columns, Table, has_time, is_header};
use super::time::Times;
use super::{Malformed, Request};

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The format that the first line shows
    Auto,
    /// Apache or nginx, common or combined
    Access,
    /// Comma-separated values, with the columns' names in the first line
    Csv,
}

/// Reads a log, request by request.
pub(crate) enum Log<'a> {
    Access(Access<Input<'a>>),
    Table(Table<'a, Input<'a>>),
}

type Input<'a> = Peeked<WithoutMarks<Peeked<Box<dyn Read + 'a>>>>;

impl<'a> Log<'a> {
    /// Opens a file, or the standard input for `-`.
    pub(crate) fn open(
        path: &'a Path,
        format: Format,
        columns: &Columns,
        times: &'a mut Times,
        progress: &'a Progress,
    ) -> Result<Self> {
        let input: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
        };
        let garbage = || progress.warn(&format!("{}: the bytes after the gzip data are ignored", path.display()));
        unpacked(progress.of(input), garbage)
            .map_err(Into::into)
            .and_then(|input| Log::of(input, format, columns, times))
            .with_context(|| format!("cannot read {}", path.display()))
    }

    fn of(input: Box<dyn Read + 'a>, format: Format, columns: &Columns, times: &'a mut Times) -> Result<Self> {
        let (input, head) = peek(input, 4)?;
        if is_utf16(&head) {
            bail!("the text is UTF-16: convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`");
        }
        let (input, head) = peek(WithoutMarks::new(input), SNIFFED)?;
        let asked_for_columns = columns.time.is_some() || !columns.cost.is_empty() || times.unit_is_given();
        let format = match format {
            Format::Auto => sniff(&head, asked_for_columns),
            format => format,
        };
        match format {
            Format::Csv => Ok(Log::Table(Table::new(input, &head, columns, times)?)),
            _ if asked_for_columns => {
                bail!("--time, --time-unit, --cost and --llm are about columns, and an access log has none")
            }
            _ => Ok(Log::Access(Access::new(input, &columns.key)?)),
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Request<'_>, Malformed>>> {
        match self {
            Log::Access(log) => log.next(),
            Log::Table(log) => log.next(),
        }
    }

    /// Returns the number of the line that was read last, from one.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Log::Access(log) => log.number(),
            Log::Table(log) => log.number(),
        }
    }

    /// Returns the line that was read last.
    pub(crate) fn line(&self) -> Cow<'_, [u8]> {
        match self {
            Log::Access(log) => log.line().into(),
            Log::Table(log) => log.line().into(),
        }
    }

    /// Returns the name of the format, for an error about a log that does not have it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Log::Access(_) => "an access log in the common or combined format",
            Log::Table(_) => "a table with a time in each record",
        }
    }
}

/// The bytes at the beginning of a log from which its format is found.
const SNIFFED: u64 = 1 << 16;

/// Finds the format of a log. A table is known by its header or by the options. A line of words
/// without a column of times may also precede an access log, if a program announces the log.
fn sniff(head: &[u8], columns: bool) -> Format {
    let is_access = |line: &[u8]| access::parse(line.trim_ascii_end(), &mut Scratch::default()).is_ok();
    let head = head.trim_ascii_start();
    let mut lines = head.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or(head).trim_ascii_end();
    let is_table = columns || (is_header(first) && (has_time(first) || !lines.any(is_access)));
    if is_table && !is_access(first) { Format::Csv } else { Format::Access }
}

/// An input from which a beginning was read, with that beginning put back.
pub(super) type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads at most `most` bytes. Returns all of the input, and the bytes that were read.
pub(super) fn peek<R: Read>(mut input: R, most: u64) -> io::Result<(Peeked<R>, Vec<u8>)> {
    let mut head = Vec::new();
    input.by_ref().take(most).read_to_end(&mut head)?;
    Ok((Cursor::new(head.clone()).chain(input), head))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns one byte at a time, as a slow pipe may.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn the_first_line_tells_the_format_however_it_comes() {
        let access = &b"\r\n\nh - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1\n"[..];
        for (text, table) in
            [(access, false), (b"\n\ntime,x\n1,2\n", true), (b"time", true), (b"", false), (b"\x00,", false)]
        {
            let mut times = Times::new(None);
            let log = Log::of(Box::new(Drip(text)), Format::Auto, &Columns::default(), &mut times).unwrap();
            assert_eq!(matches!(log, Log::Table(_)), table, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn peeking_loses_nothing() {
        let text: Vec<u8> = (0..200).collect();
        for most in [0, 1, 2, 199, 200, 300] {
            let (mut input, head) = peek(Drip(&text), most as u64).unwrap();
            assert_eq!(head, text[..most.min(200)]);
            let mut all = Vec::new();
            input.read_to_end(&mut all).unwrap();
            assert_eq!(all, text);
        }
    }
}
