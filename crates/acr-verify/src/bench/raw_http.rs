//! Responses of HTTP/1.1 as they are on the wire, of servers that were started for it.

use std::io::Read;

use crate::Result;

/// Header lines in their order.
type Headers<'a> = Vec<(&'a str, &'a str)>;

/// Reads one response, which must be a good one.
pub(super) fn read_response(stream: &mut impl Read) -> Result<Vec<u8>> {
    let (mut response, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !is_whole(&response) {
        match stream.read(&mut buffer)? {
            0 => return Err("the response breaks off".into()),
            count => response.extend_from_slice(&buffer[..count]),
        }
    }
    match response.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(response),
        false => Err(String::from_utf8_lossy(&response).into()),
    }
}

/// The header lines of a response, and its body without the framing.
pub(super) fn parse(response: &[u8]) -> Option<(Headers<'_>, Vec<u8>)> {
    let (headers, body) = split(response)?;
    let is_chunked = length(&headers).is_none();
    let body = if is_chunked {
        unchunked(body)?
    } else {
        body.to_vec()
    };
    Some((headers, body))
}

fn split(response: &[u8]) -> Option<(Headers<'_>, &[u8])> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    let lines = std::str::from_utf8(&response[..end]).ok()?.lines().skip(1);
    let headers = lines.map(|line| line.split_once(": "));
    Some((headers.collect::<Option<_>>()?, &response[end + 4..]))
}

fn length(headers: &[(&str, &str)]) -> Option<usize> {
    let is_length = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case("content-length");
    headers.iter().find(is_length)?.1.parse().ok()
}

fn is_whole(response: &[u8]) -> bool {
    split(response).is_some_and(|(headers, body)| match length(&headers) {
        Some(length) => body.len() >= length,
        None => body.ends_with(b"0\r\n\r\n"),
    })
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let at = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(at + 2..at + 2 + size)?);
        rest = rest.get(at + size + 4..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_response_is_read_to_its_end_whatever_frames_it() {
        for (framing, body) in [
            ("content-length: 3", "abc"),
            (
                "Transfer-Encoding: chunked",
                "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\na: 1\r\nA: 2\r\n{framing}\r\n\r\n{body}");
            let response = read_response(&mut text.as_bytes()).expect("a response");
            assert_eq!(response, text.as_bytes());
            let (headers, body) = parse(&response).expect("a response");
            assert_eq!(headers[..2], [("a", "1"), ("A", "2")]);
            assert_eq!(body, b"abc");
        }
    }

    #[test]
    fn what_is_not_a_good_response_is_refused() {
        for (text, problem) in [
            ("", "breaks off"),
            ("HTTP/1.1 200 OK\r\n", "breaks off"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
                "breaks off",
            ),
            ("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "breaks off"),
            ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "401 No"),
        ] {
            let error = read_response(&mut text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
