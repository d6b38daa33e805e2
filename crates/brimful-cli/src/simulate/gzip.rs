//! Unpacks gzip.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::input::{Peeked, peek};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// `input`, unpacked if it is packed by gzip. Calls `on_garbage` when other bytes than zeros
/// follow the last member; these are ignored, as gzip does.
pub(super) fn unpacked<'a>(input: impl Read + 'a, on_garbage: impl FnMut() + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let (input, head) = peek(BufReader::new(input), MAGIC.len(), |_| false)?;
    if head != MAGIC {
        return Ok(Box::new(input));
    }
    Ok(Box::new(Members { current: Some(GzDecoder::new(input)), on_garbage }))
}

/// The members of a gzip file, unpacked one after the other.
struct Members<R, F> {
    /// `None` after the last.
    current: Option<GzDecoder<Peeked<R>>>,
    on_garbage: F,
}

impl<R: BufRead, F: FnMut()> Read for Members<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.current {
            let read = member.read(buffer).map_err(explained)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}

impl<R: BufRead, F: FnMut()> Members<R, F> {
    fn next_member(&mut self) -> io::Result<()> {
        let Some(member) = self.current.take() else { return Ok(()) };
        // The member has read all of its peeked beginning.
        let (_, mut input) = member.into_inner().into_inner();
        skip_zeros(&mut input)?;
        let (input, head) = peek(input, MAGIC.len(), |_| false)?;
        if head == MAGIC {
            self.current = Some(GzDecoder::new(input));
        } else if !head.is_empty() {
            (self.on_garbage)();
        }
        Ok(())
    }
}

/// Tapes and block devices pad files with zeros.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let zeros = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(read) => read.iter().take_while(|&&byte| byte == 0).count(),
        };
        if zeros == 0 {
            return Ok(());
        }
        input.consume(zeros);
    }
}

fn explained(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::other("the gzip data is cut short: get the whole file, or unpack with `zcat` what there is")
        }
        _ => error,
    }
}
