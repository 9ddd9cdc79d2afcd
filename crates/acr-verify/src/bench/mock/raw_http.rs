//! HTTP/1.1 read by hand, so that nothing of a response is hidden: each header line, the framing, every byte, and bytes that
//! should not be there.

use std::io::{self, Read};

use crate::Result;

/// A response as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawResponse {
    /// The number in the first line.
    pub(crate) status: u16,
    /// Header lines in their order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, taken out of its chunks.
    pub(crate) body: Vec<u8>,
}

impl RawResponse {
    /// The lines of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// The first line of a header.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// The most that a head or a line between chunks may have, in bytes.
const HEAD_LIMIT: usize = 256 * 1024;

/// Reads one response, and what came with its last bytes and is not part of it.
pub(crate) fn read_response(
    stream: &mut impl Read,
    is_head: bool,
) -> Result<(RawResponse, Vec<u8>)> {
    let mut input = Input {
        stream,
        held: Vec::new(),
    };
    let head = loop {
        let line = input.line()?;
        let (status, headers) = input.head(&line)?;
        // Interim responds come before the one that counts.
        if status >= 200 {
            break (status, headers);
        }
    };
    let mut respond = RawResponse {
        status: head.0,
        headers: head.1,
        body: Vec::new(),
    };
    let has_no_body = is_head || matches!(respond.status, 204 | 304);
    let chunked = respond
        .first("Transfer-Encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    if has_no_body {
    } else if chunked {
        respond.body = input.chunks()?;
    } else if let Some(length) = respond.first("Content-Length") {
        let length = length
            .parse()
            .map_err(|_| format!("Content-Length is {length:?}"))?;
        respond.body = input.exactly(length)?;
    } else {
        respond.body = input.until_end()?;
    }
    Ok((respond, input.held))
}

struct Input<'a, R> {
    stream: &'a mut R,
    /// Read, but not yet taken.
    held: Vec<u8>,
}

impl<R: Read> Input<'_, R> {
    /// Whether there was more.
    fn more(&mut self) -> Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(format!("the response breaks off: {error}").into()),
        };
        self.held.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    fn line(&mut self) -> Result<String> {
        let end = loop {
            if let Some(end) = self.held.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            if self.held.len() > HEAD_LIMIT {
                return Err("a line of the response's head has no end".into());
            }
            if !self.more()? {
                return Err("the response ends within its head".into());
            }
        };
        let line = String::from_utf8_lossy(&self.held[..end]).into_owned();
        self.held.drain(..end + 2);
        Ok(line)
    }

    fn head(&mut self, first: &str) -> Result<(u16, Vec<(String, String)>)> {
        let status = first
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| format!("the response begins with {first:?}"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("{line:?} is not a header line"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.held.len() < length {
            if !self.more()? {
                let held = self.held.len();
                return Err(format!("the body ends after {held} of {length} bytes").into());
            }
        }
        Ok(self.held.drain(..length).collect())
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| format!("a chunk begins with {line:?}"))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size)?);
            if !self.line()?.is_empty() {
                return Err("a chunk is longer than it says".into());
            }
        }
    }

    fn until_end(&mut self) -> Result<Vec<u8>> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, is_head: bool) -> Result<(RawResponse, Vec<u8>)> {
        read_response(&mut text.as_bytes(), is_head)
    }

    #[test]
    fn lines_framing_and_bytes_are_kept() {
        let (respond, rest) = read(
            "HTTP/1.1 200 OK\r\na: 1\r\nA: 2 \r\ncontent-length: 3\r\n\r\nabc",
            false,
        )
        .expect("a response");
        assert_eq!((respond.status, respond.all("A")), (200, vec!["1", "2"]));
        assert_eq!((&respond.body[..], rest.len()), (&b"abc"[..], 0));
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n";
        assert_eq!(read(chunked, false).expect("a response").0.body, b"abc");
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(read(interim, false).expect("a response").0.status, 204);
    }

    #[test]
    fn a_body_behind_the_response_to_head_is_seen() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(read(text, true).expect("a response").1, b"abc");
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for (text, problem) in [
            ("", "within its head"),
            ("HTTP/1.0 200 OK\r\n\r\n", "begins with"),
            ("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "not a header line"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
                "after 3 of 4",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                "Content-Length is",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
                "a chunk begins",
            ),
        ] {
            let error = read(text, false).expect_err(text).to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
