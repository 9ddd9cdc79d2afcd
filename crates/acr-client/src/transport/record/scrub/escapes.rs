//! Reads text through what escapes it: JSON, percent, form and HTML, also one inside the other.

/// A byte or character as it was before it was escaped, and where the text goes on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    bytes: [u8; 4],
    length: usize,
    pub(super) next: usize,
}

impl Unit {
    const fn byte(byte: u8, next: usize) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            length: 1,
            next,
        }
    }

    fn character(c: char, next: usize) -> Self {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Self {
            bytes,
            length,
            next,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Whether a byte may begin an escape. Any other one stands for itself alone.
pub(super) const fn may_begin(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'+' | b'&')
}

/// All that the text may stand for at this place: itself, and what it escapes.
///
/// More is read than any one encoder writes, because a text may have gone through several. Who looks
/// for a secret finds it in some text too many rather than in one too few.
pub(super) fn units(text: &[u8], at: usize) -> Vec<Unit> {
    let Some(&first) = text.get(at) else {
        return Vec::new();
    };
    let mut units = vec![Unit::byte(first, at + 1)];
    match first {
        b'+' => units.push(Unit::byte(b' ', at + 1)),
        b'&' => units.extend(entity(text, at)),
        b'\\' => backslashes(text, at, &mut units),
        b'%' => {
            if let Some((byte, next)) = percent(text, at) {
                units.push(Unit::byte(byte, next));
                if byte == b'\\' {
                    backslashes(text, at, &mut units);
                }
            }
        }
        _ => {}
    }
    units
}

/// Takes percent escapes out, and `+` too if it stands for a space. What is no UTF-8 is replaced.
pub(crate) fn unescape(text: &str, plus_is_space: bool) -> String {
    let text = text.as_bytes();
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (byte, next) = match text[at] {
            b'%' => hex_pair(text, at + 1).map_or((b'%', at + 1), |byte| (byte, at + 3)),
            b'+' if plus_is_space => (b' ', at + 1),
            byte => (byte, at + 1),
        };
        plain.push(byte);
        at = next;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The byte that `%2F` stands for, or `%252F`, which was escaped twice.
fn percent(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut digits = at + 1;
    while text.get(digits..digits + 2) == Some(b"25") && hex_pair(text, digits + 2).is_some() {
        digits += 2;
    }
    hex_pair(text, digits).map(|byte| (byte, digits + 2))
}

fn hex_pair(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}

/// A byte that may be percent-escaped.
fn plain(text: &[u8], at: usize) -> Option<(u8, usize)> {
    percent_at(text, at).or_else(|| text.get(at).map(|byte| (*byte, at + 1)))
}

fn percent_at(text: &[u8], at: usize) -> Option<(u8, usize)> {
    (text.get(at) == Some(&b'%'))
        .then(|| percent(text, at))
        .flatten()
}

/// What a run of backslashes may stand for: fewer of them, or what they escape. JSON inside a text of
/// JSON doubles them.
fn backslashes(text: &[u8], at: usize, units: &mut Vec<Unit>) {
    let mut behind = at;
    for count in 1..=MOST_BACKSLASHES {
        match plain(text, behind) {
            Some((b'\\', next)) => behind = next,
            _ => return,
        }
        if count > 1 && count.is_power_of_two() {
            units.push(Unit::byte(b'\\', behind));
        }
        let Some((letter, next)) = plain(text, behind) else {
            return;
        };
        let byte = match letter {
            b'"' | b'/' | b'\'' => letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                units.extend(code_point(text, next));
                continue;
            }
            _ => continue,
        };
        units.push(Unit::byte(byte, next));
    }
}

/// The character whose number stands behind `\u`, which may take a second such escape.
fn code_point(text: &[u8], at: usize) -> Option<Unit> {
    let (high, next) = four_digits(text, at)?;
    if let Some(c) = char::from_u32(high) {
        return Some(Unit::character(c, next));
    }
    let (backslash, letter) = plain(text, next)?;
    let (u, digits) = plain(text, letter)?;
    let (low, next) = four_digits(text, digits)?;
    let is_pair = (backslash, u) == (b'\\', b'u')
        && (0xd800..0xdc00).contains(&high)
        && (0xdc00..0xe000).contains(&low);
    let number = is_pair.then(|| 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?;
    Some(Unit::character(char::from_u32(number)?, next))
}

fn four_digits(text: &[u8], mut at: usize) -> Option<(u32, usize)> {
    let mut number = 0;
    for _ in 0..4 {
        let (digit, next) = plain(text, at)?;
        number = number * 16 + char::from(digit).to_digit(16)?;
        at = next;
    }
    Some((number, at))
}

/// The character that `&amp;`, `&#39;` or `&#x27;` stands for.
fn entity(text: &[u8], at: usize) -> Option<Unit> {
    let rest = text.get(at + 1..)?;
    let length = rest
        .iter()
        .take(MOST_OF_AN_ENTITY)
        .position(|b| *b == b';')?;
    let name = std::str::from_utf8(&rest[..length]).ok()?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    };
    Some(Unit::character(c, at + length + 2))
}

/// Three levels of JSON in JSON.
const MOST_BACKSLASHES: usize = 8;
const MOST_OF_AN_ENTITY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn stands_for(text: &str, meant: &str) {
        let whole = units(text.as_bytes(), 0)
            .into_iter()
            .any(|unit| unit.bytes() == meant.as_bytes() && unit.next == text.len());
        assert!(whole, "{text} for {meant}");
    }

    #[test]
    fn every_way_to_escape_a_character_is_read() {
        for (text, meant) in [
            ("a", "a"),
            ("+", " "),
            ("+", "+"),
            ("%2F", "/"),
            ("%2f", "/"),
            ("%252F", "/"),
            ("%25252f", "/"),
            ("%", "%"),
            ("%25", "%"),
            ("\\\"", "\""),
            ("\\/", "/"),
            ("\\n", "\n"),
            ("\\\\", "\\"),
            ("\\\\\\\"", "\""),
            ("\\\\\\\\", "\\"),
            ("%5C%22", "\""),
            ("%5C%5C", "\\"),
            ("\\u0026", "&"),
            ("\\u00fc", "ü"),
            ("\\ud83d\\ude00", "😀"),
            ("&amp;", "&"),
            ("&#39;", "'"),
            ("&#x27;", "'"),
        ] {
            stands_for(text, meant);
        }
    }

    #[test]
    fn what_is_no_escape_stands_for_itself_alone() {
        for text in ["%", "%2", "%zz", "&", "&x", "&#;", "&nbsp;", "\\x", "a%2F"] {
            let units = units(text.as_bytes(), 0);
            assert!(units.iter().all(|unit| unit.next == 1), "{text}");
        }
        assert_eq!(units(b"", 0), []);
        assert_eq!(units(b"\\ud83d", 0).len(), 1);
    }

    #[test]
    fn percent_escapes_are_taken_out() {
        assert_eq!(unescape("a%2Fb%3a+%zz%", false), "a/b:+%zz%");
        assert_eq!(unescape("a+b%2B", true), "a b+");
        assert_eq!(unescape("%ff", false), "\u{fffd}");
    }
}
