//! Unpacks gzip.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::input::{Peeked, peek};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Returns `input`, unpacked if it is packed by gzip. Other bytes than zeros after the last member
/// are ignored, as gzip ignores them, after a call of `on_garbage`.
pub(super) fn unpacked<'a>(input: impl Read + 'a, on_garbage: impl FnMut() + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let (input, head) = peek(BufReader::new(input), MAGIC.len() as u64)?;
    if head != MAGIC {
        return Ok(Box::new(input));
    }
    Ok(Box::new(Members { current: Some(GzDecoder::new(input)), on_garbage }))
}

/// The members of a gzip file, unpacked one after the other. The `MultiGzDecoder` of flate2 fails at
/// the zeros and other bytes that may follow a member.
struct Members<R, F> {
    /// `None` after the last member.
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
        // The member has read all bytes that were peeked at.
        let (_, mut input) = member.into_inner().into_inner();
        skip_zeros(&mut input)?;
        let (input, head) = peek(input, MAGIC.len() as u64)?;
        if head == MAGIC {
            self.current = Some(GzDecoder::new(input));
        } else if !head.is_empty() {
            (self.on_garbage)();
        }
        Ok(())
    }
}

/// Skips zeros, with which tapes and block devices pad files.
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
            io::Error::other("the gzip data is cut short: get the whole file, or unpack its beginning with `zcat`")
        }
        _ => error,
    }
}
