//! Tables of comma-separated values, with the names of the columns in the first record.

use std::io::{self, BufRead, Read};
use std::ops::Range;

use anyhow::{Result, anyhow, bail};
use brimful::Tokens;
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::batch::{Batch, Chunk};
use super::blanks::WithoutBlanks;
use super::key::Joiner;
use super::lines::LONGEST;
use super::time::{Time, Times};
use super::{Malformed, Request};
use crate::text;

/// The names of the columns in the options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    /// Without a name, the first of [`KNOWN`] that the table has.
    pub(crate) time: Option<String>,
    /// Their sum is the cost. Each is named by an option. Without names, the cost is a token.
    pub(crate) cost: Vec<(&'static str, String)>,
    pub(crate) key: Vec<String>,
}

/// The names of a column with the time, in any case.
const KNOWN: [&str; 9] =
    ["timestamp", "@timestamp", "time", "ts", "datetime", "date_time", "date", "created_at", "start_time"];

/// Whether a line looks like names of columns: words with commas between them.
pub(crate) fn is_header(line: &[u8]) -> bool {
    let word = |name: &[u8]| {
        let name = unquoted(name);
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b" _.-@".contains(byte);
        name.first().is_some_and(|first| !first.is_ascii_digit()) && name.iter().all(inside)
    };
    std::str::from_utf8(line).is_ok() && line.split(|&byte| byte == b',').all(word)
}

/// Whether one of the names in a header is the name of a time.
pub(crate) fn has_time(header: &[u8]) -> bool {
    header.split(|&byte| byte == b',').any(|name| KNOWN.iter().any(|known| is_called(unquoted(name), known)))
}

fn unquoted(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii();
    name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name)
}

fn is_called(name: &[u8], known: &str) -> bool {
    name.trim_ascii().eq_ignore_ascii_case(known.as_bytes())
}

/// Reads a table, request by request.
pub(crate) struct Table<'a, R> {
    reader: Reader<Budget<WithoutBlanks<R>>>,
    fields: Fields,
    batch: Batch<Records>,
    times: &'a mut Times,
}

/// The indices of the columns that are read.
struct Fields {
    time: usize,
    cost: Vec<usize>,
    key: Vec<usize>,
}

/// Records, and the requests in them.
#[derive(Default)]
struct Records {
    /// The first `used` ones are records of the table.
    records: Vec<ByteRecord>,
    used: usize,
    bytes: usize,
    /// The time of each record, and its further parts. Only the records before it decide the unit of a
    /// number of time.
    requests: Vec<(Result<Time, Malformed>, Result<Found, Malformed>)>,
    /// The keys of all requests.
    keys: Vec<u8>,
    joiner: Joiner,
}

struct Found {
    key: Range<usize>,
    cost: Tokens,
}

impl Chunk for Records {
    fn clear(&mut self) {
        (self.used, self.bytes) = (0, 0);
    }

    fn size(&self) -> (usize, usize) {
        (self.used, self.bytes)
    }
}

impl Records {
    /// Reads a record. Returns false at the end of the table.
    fn read(&mut self, reader: &mut Reader<impl Read>) -> io::Result<bool> {
        if self.used == self.records.len() {
            self.records.push(ByteRecord::new());
        }
        let record = &mut self.records[self.used];
        let is_read = reader.read_byte_record(record).map_err(into_io)?;
        self.used += usize::from(is_read);
        self.bytes += record.as_slice().len();
        Ok(is_read)
    }

    fn parse(&mut self, fields: &Fields) {
        self.requests.clear();
        self.keys.clear();
        for record in &self.records[..self.used] {
            let field = |at: usize| record.get(at).map(<[u8]>::trim_ascii).ok_or(Malformed("too few fields"));
            let cost = match fields.cost[..] {
                [] => Ok(Tokens::ONE),
                ref columns => columns.iter().try_fold(Tokens::ZERO, |sum, &at| add(sum, field(at)?)),
            };
            let found = cost.and_then(|cost| {
                fields.key.iter().try_for_each(|&at| field(at).map(|_| ()))?;
                let start = self.keys.len();
                self.keys.extend_from_slice(self.joiner.join(fields.key.iter().filter_map(|&at| record.get(at))));
                Ok(Found { key: start..self.keys.len(), cost })
            });
            self.requests.push((field(fields.time).and_then(Time::read), found));
        }
    }
}

impl<'a, R: BufRead> Table<'a, R> {
    /// Reads the names of the columns. `head` is the beginning of `input`: the times in it decide the
    /// unit of numbers.
    pub(crate) fn new(input: R, head: &[u8], columns: &Columns, times: &'a mut Times) -> Result<Self> {
        let mut reader = records(input);
        let header = reader.byte_headers().map_err(into_io)?.clone();
        let find = |option: &str, name: &str| {
            let at = header.iter().position(|column| column.trim_ascii() == name.as_bytes());
            at.ok_or_else(|| anyhow!("{option}: there is no column {name:?}: choose from {}", listed(&header)))
        };
        let time = match &columns.time {
            Some(name) => find("--time", name)?,
            None => match known(&header) {
                Some(time) => time,
                // An empty file has no columns, and no records either.
                None if header.is_empty() => 0,
                None => bail!("which column is the time? Choose with --time from {}", listed(&header)),
            },
        };
        times.expect(
            records(head)
                .into_byte_records()
                .map_while(Result::ok)
                .filter_map(|record| record.get(time).map(<[u8]>::to_vec)),
        );
        let cost = columns.cost.iter().map(|(option, name)| find(option, name)).collect::<Result<_>>()?;
        let key = columns.key.iter().map(|name| find("--key", name)).collect::<Result<_>>()?;
        Ok(Table { reader, fields: Fields { time, cost, key }, batch: Batch::new(), times })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Request<'_>, Malformed>>> {
        let reader = &mut self.reader;
        let read = |chunk: &mut Records| {
            reader.get_mut().left = LONGEST;
            chunk.read(reader)
        };
        let Some((chunk, at)) = self.batch.next(read, |chunk| chunk.parse(&self.fields))? else { return Ok(None) };
        let (time, found) = &chunk.requests[at];
        let stamp = time.and_then(|time| self.times.stamp(time));
        Ok(Some(stamp.and_then(|stamp| {
            let Found { key, cost } = found.as_ref().map_err(|&reason| reason)?;
            Ok(Request { stamp, key: &chunk.keys[key.clone()], cost: *cost })
        })))
    }

    /// Returns the record that was read last.
    fn record(&self) -> Option<&ByteRecord> {
        self.batch.last().map(|(chunk, at)| &chunk.records[at])
    }

    /// Returns the number of the line at which the record that was read last begins, from one.
    pub(crate) fn number(&self) -> u64 {
        self.record().and_then(ByteRecord::position).map_or(0, csv::Position::line)
    }

    /// Returns the record that was read last.
    pub(crate) fn line(&self) -> Vec<u8> {
        self.record().map_or(Vec::new(), |record| record.iter().collect::<Vec<_>>().join(&b","[..]))
    }
}

fn records<R: BufRead>(input: R) -> Reader<Budget<WithoutBlanks<R>>> {
    let input = Budget { input: WithoutBlanks::new(input), left: LONGEST };
    ReaderBuilder::new().flexible(true).buffer_capacity(1 << 16).from_reader(input)
}

/// Adds the amount in a field to `sum`.
fn add(sum: Tokens, field: &[u8]) -> Result<Tokens, Malformed> {
    let amount = std::str::from_utf8(field).ok().and_then(|field| field.parse::<Tokens>().ok());
    let amount = amount.ok_or(Malformed("the cost is not a number from 0 to 4294967295, of at most 12 decimals"))?;
    let total = sum.saturating_add(amount);
    if total.saturating_sub(amount) == sum { Ok(total) } else { Err(Malformed("the costs' sum is above 4294967295")) }
}

fn known(header: &ByteRecord) -> Option<usize> {
    KNOWN.iter().find_map(|known| header.iter().position(|column| is_called(column, known)))
}

/// Lists the names of the columns, or the first of them.
fn listed(header: &ByteRecord) -> String {
    const MOST: usize = 20;
    let mut names: Vec<String> = header.iter().take(MOST).map(|name| text::excerpt(name.trim_ascii(), 40)).collect();
    if header.len() > MOST {
        names.push(format!("{} more", header.len() - MOST));
    }
    names.join(", ")
}

fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// Fails at a record that does not end. The csv crate has no bound: after a quote that is left open, it
/// would keep the rest of the table in memory.
struct Budget<R> {
    input: R,
    left: usize,
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("a record is longer than a megabyte: is a quote left open?"));
        }
        let read = self.input.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(time: Option<&str>, cost: &[&str], key: &[&str]) -> Columns {
        let cost = cost.iter().map(|&name| ("--cost", name.to_owned())).collect();
        Columns { time: time.map(str::to_owned), cost, key: key.iter().map(|&name| name.to_owned()).collect() }
    }

    /// Returns stamp, key and cost of each record, or the reason that it is malformed.
    fn read(text: &str, columns: &Columns) -> Vec<Result<(String, String, String), &'static str>> {
        let mut times = Times::new(None);
        let mut table = Table::new(text.as_bytes(), text.as_bytes(), columns, &mut times).unwrap();
        let mut found = Vec::new();
        while let Some(request) = table.next().unwrap() {
            found.push(match request {
                Ok(Request { stamp, key, cost }) => {
                    Ok((stamp.to_string(), String::from_utf8_lossy(key).into_owned(), cost.to_string()))
                }
                Err(Malformed(reason)) => Err(reason),
            });
        }
        found
    }

    fn refusal(text: &str, columns: &Columns) -> String {
        match Table::new(text.as_bytes(), b"", columns, &mut Times::new(None)) {
            Ok(_) => panic!("{text:?} is a table"),
            Err(error) => error.to_string(),
        }
    }

    fn good(stamp: &str, key: &str, cost: &str) -> Result<(String, String, String), &'static str> {
        Ok((stamp.to_owned(), key.to_owned(), cost.to_owned()))
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "\u{feff}who,when,in,out\nalice,5, 1 ,2.5\n\n\"b,\"\"x\n\",6.5,0,0\r\n";
        let found = read(text, &columns(Some("when"), &["in", "out"], &["who"]));
        assert_eq!(
            found,
            [good("1970-01-01T00:00:05Z", "alice", "3.5"), good("1970-01-01T00:00:06.5Z", "b,\"x\n", "0")]
        );
        let found = read("x,TimeStamp\n1,5\n", &columns(None, &[], &[]));
        assert_eq!(found, [good("1970-01-01T00:00:05Z", "", "1")]);
        assert_eq!(read("", &columns(None, &[], &[])), []);
    }

    #[test]
    fn every_other_record_says_what_is_wrong_with_it() {
        let text = "time,cost\nyesterday,1\n1\n1,-1\n1,4294967296\n1,\n1,1\n";
        let found = read(text, &columns(None, &["cost", "cost"], &[]));
        let number = Err("the cost is not a number from 0 to 4294967295, of at most 12 decimals");
        let expected = [
            Err("the time is neither a date nor a number"),
            Err("too few fields"),
            number.clone(),
            number.clone(),
            number,
            good("1970-01-01T00:00:01Z", "", "2"),
        ];
        assert_eq!(found, expected);
        let found = read("time,cost\n1,3000000000\n", &columns(None, &["cost", "cost"], &[]));
        assert_eq!(found, [Err("the costs' sum is above 4294967295")]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let text = "a,b\n1,2\n";
        let reason = "--time: there is no column \"c\": choose from a, b";
        assert_eq!(refusal(text, &columns(Some("c"), &[], &[])), reason);
        assert_eq!(refusal(text, &columns(Some("a"), &["c"], &[])), reason.replace("time", "cost"));
        assert_eq!(refusal(text, &columns(Some("a"), &[], &["c"])), reason.replace("time", "key"));
        assert_eq!(refusal(text, &columns(None, &[], &[])), "which column is the time? Choose with --time from a, b");
    }

    #[test]
    fn an_open_quote_does_not_read_on_for_ever() {
        let endless = b"time\n1\n\"".chain(io::repeat(b'x'));
        let mut times = Times::new(None);
        let mut table = Table::new(io::BufReader::new(endless), b"", &Columns::default(), &mut times).unwrap();
        assert!(table.next().unwrap().unwrap().is_ok());
        assert!(table.next().unwrap_err().to_string().contains("longer than a megabyte"));
    }

    #[test]
    fn headers_are_told_from_other_lines() {
        for header in ["TIMESTAMP,ContextTokens,GeneratedTokens", "time", "\"a b\", c-d ,größe,@timestamp"] {
            assert!(is_header(header.as_bytes()), "{header}");
        }
        for line in
            ["", "a,,b", "1,2", "h - - [17/May/2015:10:05:03 +0000] \"\" 200 1", "KHTML, like Gecko) X\"", "a,\x07"]
        {
            assert!(!is_header(line.as_bytes()), "{line}");
        }
        assert!(!is_header(b"a,\xff"));
    }
}
