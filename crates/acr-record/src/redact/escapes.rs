//! What escapes stand for: in URLs, forms, JSON and HTML.

/// Adds what the escape at the beginning of a text stands for, and returns its length.
pub(super) type Decode = fn(text: &[u8], out: &mut Vec<u8>) -> Option<usize>;

pub(super) const DECODERS: [Decode; 4] = [percent, form, json, html];

fn percent(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let hex = text.strip_prefix(b"%")?.first_chunk::<2>()?;
    out.push(number(hex, 16)?.try_into().ok()?);
    Some(3)
}

fn form(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    if text.first() != Some(&b'+') {
        return percent(text, out);
    }
    out.push(b' ');
    Some(1)
}

fn json(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let byte = match text.strip_prefix(b"\\")?.first()? {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let unit = |at| {
                number(text.get(at..at + 6)?.strip_prefix(b"\\u")?, 16)?
                    .try_into()
                    .ok()
            };
            let units = [unit(0)?].into_iter().chain(unit(6));
            let c = char::decode_utf16(units).next()?.ok()?;
            push(out, c);
            return Some(c.len_utf16() * 6);
        }
        other @ (b'"' | b'\\' | b'/' | b'\'') => *other,
        _ => return None,
    };
    out.push(byte);
    Some(2)
}

fn html(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let rest = text.strip_prefix(b"&")?;
    let length = rest.iter().take(MAX_ENTITY).position(|b| *b == b';')?;
    let c = match &rest[..length] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', hex @ ..] => char::from_u32(number(hex, 16)?)?,
        [b'#', decimal @ ..] => char::from_u32(number(decimal, 10)?)?,
        _ => return None,
    };
    push(out, c);
    Some(length + 2)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(text, radix).ok()
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

const MAX_ENTITY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_of_a_character_is_read() {
        for (decode, text, expected) in [
            (percent as Decode, "%2F", "/"),
            (percent, "%2f", "/"),
            (form, "+", " "),
            (form, "%2B", "+"),
            (json, "\\\"", "\""),
            (json, "\\/", "/"),
            (json, "\\n", "\n"),
            (json, "\\\\", "\\"),
            (json, "\\u0026", "&"),
            (json, "\\u00fc", "ü"),
            (json, "\\ud83d\\ude00", "😀"),
            (html, "&amp;", "&"),
            (html, "&#39;", "'"),
            (html, "&#x27;", "'"),
        ] {
            let mut out = Vec::new();
            assert_eq!(
                decode(text.as_bytes(), &mut out),
                Some(text.len()),
                "{text}"
            );
            assert_eq!(out, expected.as_bytes(), "{text}");
        }
        for text in [
            "", "a", "%", "%2", "%zz", "&", "&x", "&#;", "&nbsp;", "\\x", "\\ud83d", "\\u12",
        ] {
            for decode in DECODERS {
                let mut out = Vec::new();
                assert_eq!(
                    (decode(text.as_bytes(), &mut out), out),
                    (None, Vec::new()),
                    "{text}"
                );
            }
        }
    }
}
