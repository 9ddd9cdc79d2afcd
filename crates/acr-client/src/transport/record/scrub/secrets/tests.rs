use super::*;

fn knowing(secrets: &[&str]) -> Secrets {
    let mut known = Secrets::default();
    for secret in secrets {
        known.learn(secret, REDACTED);
    }
    known
}

#[track_caller]
fn cleaned(secret: &str, text: &str) -> String {
    let cleaned = knowing(&[secret]).replace_in_text(text);
    cleaned.unwrap_or_else(|| panic!("{secret} is not found in {text}"))
}

#[test]
fn a_secret_is_found_in_whatever_escapes() {
    let secret = "hun\"ter /2\\ü&";
    for text in [
        "<hun\"ter /2\\ü&>",
        "<hun\\\"ter /2\\\\ü&>",
        "<hun\\\"ter \\/2\\\\\\u00fc\\u0026>",
        "<hun%22ter+%2F2%5C%C3%BC%26>",
        "<hun%22ter%20%2f2%5c%c3%bc%26>",
        "<hun%2522ter%2520%252F2%255C%25C3%25BC%2526>",
        "<hun%5C%22ter+%2F2%5C%5C%C3%BC%26>",
        "<hun\\\\\\\"ter /2\\\\\\\\ü&>",
        "<hun&quot;ter /2\\ü&amp;>",
    ] {
        assert_eq!(cleaned(secret, text), "<REDACTED>", "{text}");
    }
}

#[test]
fn base64_hides_no_secret() {
    let secret = "hunter2-and-more?>";
    for before in ["", "u", "us", "user:"] {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(format!("{before}{secret}"));
            let cleaned = cleaned(secret, &text);
            assert!(cleaned.len() < text.len(), "{before} {cleaned}");
        }
    }
}

#[test]
fn secrets_that_overlap_go_as_one() {
    let secrets = knowing(&["abcdefgh", "efghijkl", "efgh"]);
    let cleaned = secrets.replace_in_text("<abcdefghijkl> <efgh>");
    assert_eq!(cleaned.unwrap(), "<REDACTED> <REDACTED>");
}

#[test]
fn the_beginning_of_a_secret_at_a_cut_goes_too() {
    let secrets = knowing(&["hunter/2-and-more"]);
    for cut in ["<hunt", "<hunter%2F2-an", "<hunter%2"] {
        let cleaned = secrets.replace_in_bytes(cut.as_bytes(), true).unwrap();
        assert_eq!(cleaned, b"<REDACTED", "{cut}");
        assert_eq!(secrets.replace_in_bytes(cut.as_bytes(), false), None);
    }
}

#[test]
fn what_is_no_secret_stays() {
    let secrets = knowing(&["hunter2", "abc", "", REDACTED]);
    for text in ["", "hunter", "hunter3", "abc", "%68unter", "hunter%3", "\\"] {
        assert_eq!(secrets.replace_in_text(text), None, "{text}");
    }
    assert_eq!(secrets.replace_in_bytes(&[0xff, 0, 0x25], true), None);
}

#[test]
fn what_is_known_is_bounded_and_the_oldest_goes_first() {
    let mut secrets = Secrets::default();
    secrets.learn_for_good("named by the user");
    for number in 0..MOST {
        secrets.learn(&format!("token-{number}"), REDACTED);
        secrets.learn("seen all the time", REDACTED);
    }
    assert!(secrets.entries.len() <= MOST);
    let newest = format!("token-{}", MOST - 1);
    for known in ["named by the user", "seen all the time", &newest] {
        assert!(secrets.replace_in_text(known).is_some(), "{known}");
    }
    assert_eq!(secrets.replace_in_text("(token-0)"), None);
}

#[test]
fn what_is_learned_again_is_no_news() {
    let mut secrets = knowing(&["hunter2"]);
    let count = secrets.count();
    secrets.learn("hunter2", REDACTED);
    assert_eq!(secrets.count(), count);
    secrets.learn("hunter3", REDACTED);
    assert!(secrets.count() > count);
}

#[test]
fn escapes_without_end_take_no_time() {
    let secrets = knowing(&["%25%25%25%25%25%25%25%25%25%25%25x"]);
    let text = "%25".repeat(500);
    assert!(secrets.find(text.as_bytes(), false).len() < 2);
    let secrets = knowing(&[&format!("{}x", "\\".repeat(100))]);
    let text = "\\".repeat(1000);
    // Thousands of millions of ways to read it; what counts is that it comes to an end.
    assert!(secrets.find(text.as_bytes(), false).len() < 2);
}

#[test]
fn debug_shows_no_secret() {
    assert!(!format!("{:?}", knowing(&["hunter2"])).contains("hunter2"));
}
